// CrossAttention's C interface: raw pointers, a stream, no allocation, no synchronisation.
//
// The meaning is in cross_attention.py. Everything is row-major and contiguous: a head is a slice of
// a token's row, so nothing is transposed. Pointers may be of any alignment; 16 bytes is fast.
#ifndef TILEFIX_CROSS_ATTENTION_H_
#define TILEFIX_CROSS_ATTENTION_H_

#include "interface.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TILEFIX_HEAD_WIDTH_LIMIT = 128 };

typedef struct CrossAttentionArguments {
    int64_t struct_bytes;        // sizeof(CrossAttentionArguments)
    void const* query;           // [batch, queries, width] float16 or float32, as all that follow
    void const* key;             // [batch, keys, width]
    void const* value;           // [batch, keys, width]
    void const* query_position;  // [query_position_rows, width], added to query; null: nothing is
    void const* key_position;    // [key_position_rows, width], added to key; null: nothing is
    void* attended;              // [batch, queries, width]
    void* workspace;             // 16-byte aligned; may be null where no byte of it is needed
    int32_t batch;               // 1..65535
    int32_t queries;
    int32_t keys;
    int32_t heads;               // 1..65535
    int32_t width;               // a multiple of heads, at most 128 to a head
    int32_t query_position_rows; // queries, or 1: the same for all
    int32_t key_position_rows;   // keys, or 1
    int32_t half;                // 1: float16, 0: float32
    int32_t splits;              // parts of the keys that are read side by side; 0: by the sizes
    float scale;                 // of the products
} CrossAttentionArguments;

// The parts that splits = 0 stands for, a function of these sizes alone.
TILEFIX_API int32_t tilefix_cross_attention_splits(int32_t batch, int32_t queries, int32_t keys,
                                                   int32_t heads);

// Enough for these sizes with that many splits; with 0, for these and all smaller ones.
TILEFIX_API size_t tilefix_cross_attention_workspace_bytes(int32_t batch, int32_t queries,
                                                           int32_t keys, int32_t heads,
                                                           int32_t width, int32_t splits);

// Enqueues all on a stream (a cudaStream_t). Returns 0, a negative number of interface.h, or the
// cudaError_t of a launch.
TILEFIX_API int32_t tilefix_cross_attention(CrossAttentionArguments const* arguments, void* stream);

#ifdef __cplusplus
}
#endif
#endif
