// TileAttention's self-test: the sizes, pointers and settings of a call (of one window) as a plugin's.
#include "plugin_self_test.h"
#include "tile_attention.h"

using namespace nvinfer1;
using tilefix::self_test::tensor;

extern "C" TILEFIX_API int32_t tilefix_tile_attention_self_test(TileAttentionArguments const* a,
                                                                void* stream, char const** stage,
                                                                char const** reason) {
    int32_t const attention = a->attention != nullptr;
    tilefix::self_test::Call call{};
    call.plugin = "TileAttention";
    auto const number = [&](char const* name, float const& value) {
        call.fields.emplace_back(name, &value, PluginFieldType::kFLOAT32, 1);
    };
    number("gate_offset", a->gate_offset), number("gate_slope", a->gate_slope);
    number("stride_px", a->stride_px), number("log_size_limit", a->log_size_limit);
    number("click_var", a->click_var), number("centre_var", a->centre_var);
    number("floor_var_px2", a->floor_var_px2);
    call.fields.emplace_back("attention", &attention, PluginFieldType::kINT32, 1);
    call.fields.emplace_back("min_max", &a->min_max, PluginFieldType::kINT32, 1);
    int64_t const n = a->clicks, d = a->embedding, c = a->hidden, h = a->rows, w = a->columns;
    int64_t const k = a->anchor_count;
    DataType const stored = a->half ? DataType::kHALF : DataType::kFLOAT, f = DataType::kFLOAT;
    call.in = {tensor(stored, {n, d}), tensor(stored, {d, h, w}), tensor(stored, {c, h, w}),
               tensor(f, {c, 3}),      tensor(f, {k, c}),         tensor(f, {k, 4, c}),
               tensor(f, {k, 8}),      tensor(f, {n, 2}),         tensor(f, {n})};
    call.out = {tensor(f, {n, 4}), tensor(f, {n}), tensor(f, {n}), tensor(f, {n}), tensor(f, {n})};
    call.inputs = {a->query,      a->v,     a->u,       a->channels,    a->confidence,
                   a->boxes,      a->anchors, a->prior_xy_px, a->prior_inv_var};
    call.outputs = {a->box_xyxy_px, a->confidence_logit, a->peak_similarity,
                    a->second_peak_similarity, a->cell_similarity};
    if (attention) {
        call.out.push_back(tensor(f, {n, h, w}));
        call.outputs.push_back(a->attention);
    }
    call.workspace = a->workspace;
    call.workspace_bytes = tilefix_tile_attention_workspace_bytes(1, a->clicks, a->rows * a->columns);
    call.stream = stream;
    return tilefix::self_test::drive(call, stage, reason);
}
