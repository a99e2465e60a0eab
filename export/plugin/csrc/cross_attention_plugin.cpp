// The TensorRT shell of CrossAttention: query, key, value, and both positions or neither.
#include "cross_attention.h"
#include "plugin_shell.h"

using namespace nvinfer1;

namespace {

constexpr int32_t kTokens = 3;  // inputs without positions
constexpr int32_t kAll = 5;

struct Kernel {
    struct Settings {
        float scale = 0;
        int32_t heads = 0, positions = 0;
    };
    static constexpr char const* kName = "CrossAttention";
    static constexpr std::array<tilefix::plugin::Field, 3> kFields = {
        TILEFIX_FLOAT_FIELD(scale),
        TILEFIX_INT_FIELD(heads),
        TILEFIX_INT_FIELD(positions),
    };
};

class Plugin final : public tilefix::plugin::Shell<Plugin, Kernel> {
public:
    explicit Plugin(Kernel::Settings const& settings) : Shell(settings) {
        settings_.positions = settings.positions != 0;
    }

    int32_t getNbOutputs() const noexcept override { return 1; }

    // One type for all, float16 or float32; everything is linear.
    bool supportsFormatCombination(int32_t pos, DynamicPluginTensorDesc const* tensors, int32_t inputs,
                                   int32_t outputs) noexcept override {
        if (inputs != wanted() || outputs != 1) return false;
        PluginTensorDesc const& tensor = tensors[pos].desc;
        if (tensor.format != TensorFormat::kLINEAR) return false;
        if (pos == 0) return tensor.type == DataType::kHALF || tensor.type == DataType::kFLOAT;
        return tensor.type == tensors[0].desc.type;
    }
    int32_t getOutputDataTypes(DataType* types, int32_t, DataType const* given,
                               int32_t) const noexcept override {
        types[0] = given[0];
        return 0;
    }
    int32_t getOutputShapes(DimsExprs const* in, int32_t inputs, DimsExprs const*, int32_t,
                            DimsExprs* out, int32_t outputs, IExprBuilder&) noexcept override {
        if (inputs != wanted() || outputs != 1 || in[0].nbDims != 3)
            return refuse("it takes 3 inputs, or 5 with positions, query [B, L, D] first");
        out[0] = in[0];
        return 0;
    }
    int32_t configurePlugin(DynamicPluginTensorDesc const* in, int32_t inputs,
                            DynamicPluginTensorDesc const*, int32_t) noexcept override {
        return checked(inputs, [&](int i) { return in[i].max; });
    }
    size_t getWorkspaceSize(DynamicPluginTensorDesc const* in, int32_t,
                            DynamicPluginTensorDesc const*, int32_t) const noexcept override {
        Dims const &query = in[0].max, &key = in[1].max;
        return tilefix_cross_attention_workspace_bytes(int32_t(query.d[0]), int32_t(query.d[1]),
                                                       int32_t(key.d[1]), settings_.heads,
                                                       int32_t(query.d[2]), 0);
    }

    int32_t onShapeChange(PluginTensorDesc const* in, int32_t inputs, PluginTensorDesc const*,
                          int32_t) noexcept override {
        return checked(inputs, [&](int i) { return in[i].dims; });
    }
    int32_t enqueue(PluginTensorDesc const* in, PluginTensorDesc const*, void const* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override {
        bool const positions = settings_.positions;
        CrossAttentionArguments a{};
        a.struct_bytes = sizeof a;
        a.query = inputs[0], a.key = inputs[1], a.value = inputs[2];
        a.query_position = positions ? inputs[3] : nullptr;
        a.key_position = positions ? inputs[4] : nullptr;
        a.attended = outputs[0];
        a.workspace = workspace;
        a.batch = int32_t(in[0].dims.d[0]), a.queries = int32_t(in[0].dims.d[1]);
        a.keys = int32_t(in[1].dims.d[1]);
        a.heads = settings_.heads, a.width = int32_t(in[0].dims.d[2]);
        a.query_position_rows = positions ? int32_t(in[3].dims.d[0]) : 1;
        a.key_position_rows = positions ? int32_t(in[4].dims.d[0]) : 1;
        a.half = in[0].type == DataType::kHALF;
        a.scale = settings_.scale;
        return launched(tilefix_cross_attention(&a, stream));
    }

private:
    int32_t wanted() const { return settings_.positions ? kAll : kTokens; }

    // 0 where the sizes fit together. dims gives a tensor's.
    template <typename Get>
    int32_t checked(int32_t inputs, Get const& dims) const noexcept {
        if (inputs != wanted()) return refuse("it takes 3 inputs, or 5 with positions");
        Dims const q = dims(0), k = dims(1), v = dims(2);
        if (q.nbDims != 3 || k.nbDims != 3 || v.nbDims != 3)
            return refuse("query, key and value are [B, L, D], [B, S, D] and [B, S, D]");
        bool fits = q.d[0] >= 1 && q.d[0] <= 65535 && q.d[1] >= 1 && k.d[1] >= 1;
        for (int i = 0; i < 3; ++i) fits = fits && k.d[i] == v.d[i];
        fits = fits && k.d[0] == q.d[0] && k.d[2] == q.d[2];
        for (int i = kTokens; i < inputs; ++i) {
            Dims const p = dims(i);
            int64_t const tokens = dims(i - kTokens).d[1];
            fits = fits && p.nbDims == 2 && p.d[1] == q.d[2] && (p.d[0] == 1 || p.d[0] == tokens);
        }
        if (!fits) return refuse("its inputs do not fit together, or there are no tokens");
        int64_t const heads = settings_.heads;
        if (heads >= 1 && q.d[2] % heads == 0 && q.d[2] <= heads * TILEFIX_HEAD_WIDTH_LIMIT)
            return 0;
        return refuse(std::to_string(q.d[2]) + " channels are not " + std::to_string(heads) +
                      " heads of at most " + std::to_string(TILEFIX_HEAD_WIDTH_LIMIT));
    }
};

}  // namespace

IPluginCreatorInterface* tilefix::plugin::cross_attention_creator() {
    static Creator<Plugin, Kernel> creator;
    return &creator;
}
