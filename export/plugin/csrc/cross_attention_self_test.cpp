// CrossAttention's self-test: the sizes, pointers and settings of a call as a plugin's. Positions are
// both there or both null; splits is left to the sizes.
#include "cross_attention.h"
#include "plugin_self_test.h"

using namespace nvinfer1;
using tilefix::self_test::tensor;

extern "C" TILEFIX_API int32_t tilefix_cross_attention_self_test(CrossAttentionArguments const* a,
                                                                 void* stream, char const** stage,
                                                                 char const** reason) {
    tilefix::self_test::Call call{};
    call.plugin = "CrossAttention";
    call.fields.emplace_back("scale", &a->scale, PluginFieldType::kFLOAT32, 1);
    call.fields.emplace_back("heads", &a->heads, PluginFieldType::kINT32, 1);
    int32_t const positions = a->query_position || a->key_position;
    call.fields.emplace_back("positions", &positions, PluginFieldType::kINT32, 1);
    int64_t const b = a->batch, l = a->queries, s = a->keys, d = a->width;
    DataType const type = a->half ? DataType::kHALF : DataType::kFLOAT;
    call.in = {tensor(type, {b, l, d}), tensor(type, {b, s, d}), tensor(type, {b, s, d})};
    call.inputs = {a->query, a->key, a->value};
    if (positions) {
        call.in.push_back(tensor(type, {a->query_position_rows, d}));
        call.in.push_back(tensor(type, {a->key_position_rows, d}));
        call.inputs.insert(call.inputs.end(), {a->query_position, a->key_position});
    }
    call.out = {tensor(type, {b, l, d})};
    call.outputs = {a->attended};
    call.workspace = a->workspace;
    call.workspace_bytes = tilefix_cross_attention_workspace_bytes(a->batch, a->queries, a->keys,
                                                                   a->heads, a->width, 0);
    call.stream = stream;
    return tilefix::self_test::drive(call, stage, reason);
}
