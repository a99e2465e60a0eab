// The TensorRT shell of TileAttention.
#include "plugin_shell.h"
#include "tile_attention.h"

using namespace nvinfer1;

namespace {

constexpr int32_t kInputs = 9;
constexpr int32_t kAnswers = 5;  // outputs without the map

struct Kernel {
    struct Settings {
        float gate_offset = 0, gate_slope = 0, stride_px = 0, log_size_limit = 0;
        float click_var = 0, centre_var = 0, floor_var_px2 = 0;
        int32_t min_max = 0, attention = 0;
    };
    static constexpr char const* kName = "TileAttention";
    static constexpr std::array<tilefix::plugin::Field, 9> kFields = {
        TILEFIX_FLOAT_FIELD(gate_offset),    TILEFIX_FLOAT_FIELD(gate_slope),
        TILEFIX_FLOAT_FIELD(stride_px),      TILEFIX_FLOAT_FIELD(log_size_limit),
        TILEFIX_FLOAT_FIELD(click_var),      TILEFIX_FLOAT_FIELD(centre_var),
        TILEFIX_FLOAT_FIELD(floor_var_px2),  TILEFIX_INT_FIELD(min_max),
        TILEFIX_INT_FIELD(attention),
    };
};

class Plugin final : public tilefix::plugin::Shell<Plugin, Kernel> {
public:
    explicit Plugin(Kernel::Settings const& settings) : Shell(settings) {
        settings_.min_max = settings.min_max != 0;
        settings_.attention = settings.attention != 0;
    }

    int32_t getNbOutputs() const noexcept override { return kAnswers + settings_.attention; }

    // query, v and u share float16 or float32; all else is float32; everything is linear.
    bool supportsFormatCombination(int32_t pos, DynamicPluginTensorDesc const* tensors, int32_t inputs,
                                   int32_t outputs) noexcept override {
        if (inputs != kInputs || outputs != getNbOutputs()) return false;
        PluginTensorDesc const& tensor = tensors[pos].desc;
        if (tensor.format != TensorFormat::kLINEAR) return false;
        if (pos == 0) return tensor.type == DataType::kHALF || tensor.type == DataType::kFLOAT;
        return tensor.type == (pos < 3 ? tensors[0].desc.type : DataType::kFLOAT);
    }
    int32_t getOutputDataTypes(DataType* types, int32_t outputs, DataType const*,
                               int32_t) const noexcept override {
        for (int32_t i = 0; i < outputs; ++i) types[i] = DataType::kFLOAT;
        return 0;
    }
    int32_t getOutputShapes(DimsExprs const* in, int32_t inputs, DimsExprs const*, int32_t,
                            DimsExprs* out, int32_t outputs,
                            IExprBuilder& expressions) noexcept override {
        if (inputs != kInputs || outputs != getNbOutputs() || in[0].nbDims != 2 ||
            in[1].nbDims != 3) {
            return refuse("it takes 9 inputs, query [N, D] and v [D, H, W] first");
        }
        for (int32_t i = 0; i < outputs; ++i) {
            out[i].nbDims = 1;
            out[i].d[0] = in[0].d[0];
        }
        out[0].nbDims = 2;
        out[0].d[1] = expressions.constant(4);
        if (settings_.attention) {
            out[kAnswers].nbDims = 3;
            out[kAnswers].d[1] = in[1].d[1];
            out[kAnswers].d[2] = in[1].d[2];
        }
        return 0;
    }
    int32_t configurePlugin(DynamicPluginTensorDesc const* in, int32_t inputs,
                            DynamicPluginTensorDesc const*, int32_t) noexcept override {
        if (inputs == kInputs && in[0].max.nbDims == 2 && in[0].max.d[0] <= TILEFIX_CLICK_LIMIT)
            return 0;
        return refuse("a profile may have at most " + std::to_string(TILEFIX_CLICK_LIMIT) +
                      " clicks");
    }
    size_t getWorkspaceSize(DynamicPluginTensorDesc const* in, int32_t,
                            DynamicPluginTensorDesc const*, int32_t) const noexcept override {
        return tilefix_tile_attention_workspace_bytes(1, int32_t(in[0].max.d[0]),
                                                      int32_t(in[1].max.d[1] * in[1].max.d[2]));
    }

    int32_t onShapeChange(PluginTensorDesc const* in, int32_t inputs, PluginTensorDesc const*,
                          int32_t) noexcept override {
        auto const size = [&](int tensor, int axis) { return in[tensor].dims.d[axis]; };
        bool const fits = inputs == kInputs && size(0, 0) >= 1 &&
                          size(0, 0) <= TILEFIX_CLICK_LIMIT && size(0, 1) == size(1, 0) &&
                          size(1, 1) == size(2, 1) && size(1, 2) == size(2, 2) &&
                          size(2, 0) == size(3, 0) && size(4, 1) == size(2, 0) &&
                          size(4, 0) <= TILEFIX_ANCHOR_LIMIT;
        if (fits) return 0;
        return refuse("its inputs do not fit together, or there are no or too many clicks");
    }
    int32_t enqueue(PluginTensorDesc const* in, PluginTensorDesc const*, void const* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override {
        TileAttentionArguments a{};
        a.struct_bytes = sizeof a;
        a.query = inputs[0], a.v = inputs[1], a.u = inputs[2];
        auto const numbers = [&](int i) { return static_cast<float const*>(inputs[i]); };
        a.channels = numbers(3), a.confidence = numbers(4), a.boxes = numbers(5);
        a.anchors = numbers(6), a.prior_xy_px = numbers(7), a.prior_inv_var = numbers(8);
        auto const answers = [&](int i) { return static_cast<float*>(outputs[i]); };
        a.box_xyxy_px = answers(0), a.confidence_logit = answers(1), a.peak_similarity = answers(2);
        a.second_peak_similarity = answers(3), a.cell_similarity = answers(4);
        a.attention = settings_.attention ? answers(kAnswers) : nullptr;
        a.workspace = workspace;
        a.windows = 1;
        a.clicks = int32_t(in[0].dims.d[0]), a.embedding = int32_t(in[0].dims.d[1]);
        a.hidden = int32_t(in[2].dims.d[0]);
        a.rows = int32_t(in[1].dims.d[1]), a.columns = int32_t(in[1].dims.d[2]);
        a.anchor_count = int32_t(in[4].dims.d[0]);
        a.half = in[0].type == DataType::kHALF;
        a.min_max = settings_.min_max;
        a.gate_offset = settings_.gate_offset, a.gate_slope = settings_.gate_slope;
        a.stride_px = settings_.stride_px, a.log_size_limit = settings_.log_size_limit;
        a.click_var = settings_.click_var, a.centre_var = settings_.centre_var;
        a.floor_var_px2 = settings_.floor_var_px2;
        return launched(tilefix_tile_attention(&a, stream));
    }
};

}  // namespace

IPluginCreatorInterface* tilefix::plugin::tile_attention_creator() {
    static Creator<Plugin, Kernel> creator;
    return &creator;
}
