// TileAttention's C interface: raw pointers, a stream, no allocation, no synchronisation.
//
// The meaning is in tile_attention.py. Everything is row-major and contiguous; windows is a batch of
// independent calls. Pointers may be of any alignment; 16 bytes is fast.
#ifndef TILEFIX_TILE_ATTENTION_H_
#define TILEFIX_TILE_ATTENTION_H_

#include "interface.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TILEFIX_CLICK_LIMIT = 64,
    TILEFIX_ANCHOR_LIMIT = 9,
};

typedef struct TileAttentionArguments {
    int64_t struct_bytes;        // sizeof(TileAttentionArguments)
    void const* query;           // [windows, clicks, embedding] float16 or float32, any length
    void const* v;               // [windows, embedding, rows, columns], of query's type
    void const* u;               // [windows, hidden, rows, columns], of query's type
    float const* channels;       // [hidden, 3] scale, shift, bias
    float const* confidence;     // [anchors, hidden]
    float const* boxes;          // [anchors, 4, hidden]
    float const* anchors;        // [anchors, 8] c, tau, the four of b_box, width and height in pixels
    float const* prior_xy_px;    // [windows, clicks, 2]
    float const* prior_inv_var;  // [windows, clicks]
    float* box_xyxy_px;          // [windows, clicks, 4]
    float* confidence_logit;     // [windows, clicks], as the next three
    float* peak_similarity;
    float* second_peak_similarity;
    float* cell_similarity;
    float* attention;            // [windows, clicks, rows, columns], or null: not wanted
    void* workspace;             // tilefix_tile_attention_workspace_bytes() of it, 16-byte aligned
    int32_t windows;
    int32_t clicks;              // 1..64
    int32_t embedding;
    int32_t hidden;
    int32_t rows;
    int32_t columns;
    int32_t anchor_count;        // 1..9
    int32_t half;                // 1: query, v and u are float16; 0: float32
    int32_t min_max;
    float gate_offset;
    float gate_slope;
    float stride_px;
    float log_size_limit;
    float click_var;
    float centre_var;
    float floor_var_px2;
} TileAttentionArguments;

TILEFIX_API size_t tilefix_tile_attention_workspace_bytes(int32_t windows, int32_t clicks,
                                                          int32_t cells);

// Enqueues all on a stream (a cudaStream_t). Returns 0, a negative number of interface.h, or the
// cudaError_t of a launch.
TILEFIX_API int32_t tilefix_tile_attention(TileAttentionArguments const* arguments, void* stream);

#ifdef __cplusplus
}
#endif
#endif
