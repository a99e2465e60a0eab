// The TensorRT shell of TileAttention: IPluginV3 with its creator, against the headers alone.
//
// Nothing of libnvinfer is linked, so one library serves TensorRT 10.3 to 11 and TensorRT-RTX. It
// offers getCreators and setLoggerFinder, not the old getPluginCreators.
#include <NvInferRuntime.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>

#include "tile_attention.h"

using namespace nvinfer1;

namespace {

constexpr char const* kName = "TileAttention";
constexpr char const* kVersion = "1";
constexpr char const* kNamespace = "";
constexpr int32_t kInputs = 9;
constexpr int32_t kAnswers = 5;  // outputs without the map

ILoggerFinder* logger_finder = nullptr;

void complain(std::string const& text) noexcept {
    ILogger* const logger = logger_finder ? logger_finder->findLogger() : nullptr;
    if (logger) logger->log(ILogger::Severity::kERROR, ("tilefix TileAttention: " + text).c_str());
}

struct Settings {
    float gate_offset = 0, gate_slope = 0, stride_px = 0, log_size_limit = 0;
    float click_var = 0, centre_var = 0, floor_var_px2 = 0;
    int32_t min_max = 0, attention = 0;
};

struct Field {
    char const* name;
    PluginFieldType type;
    size_t offset;
};

#define FLOAT_FIELD(name) Field{#name, PluginFieldType::kFLOAT32, offsetof(Settings, name)}
#define INT_FIELD(name) Field{#name, PluginFieldType::kINT32, offsetof(Settings, name)}
constexpr std::array<Field, 9> kFields = {
    FLOAT_FIELD(gate_offset), FLOAT_FIELD(gate_slope),    FLOAT_FIELD(stride_px),
    FLOAT_FIELD(log_size_limit), FLOAT_FIELD(click_var),  FLOAT_FIELD(centre_var),
    FLOAT_FIELD(floor_var_px2), INT_FIELD(min_max),       INT_FIELD(attention),
};

class Plugin final : public IPluginV3,
                     public IPluginV3OneCore,
                     public IPluginV3OneBuild,
                     public IPluginV3OneRuntime {
public:
    explicit Plugin(Settings const& settings) : settings_(settings) {
        for (size_t i = 0; i < kFields.size(); ++i)
            fields_[i] = PluginField(kFields[i].name,
                                     reinterpret_cast<char const*>(&settings_) + kFields[i].offset,
                                     kFields[i].type, 1);
        collection_.nbFields = int32_t(fields_.size());
        collection_.fields = fields_.data();
    }

    IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
        switch (type) {
            case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
            case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
            case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }
    IPluginV3* clone() noexcept override { return new (std::nothrow) Plugin(settings_); }

    AsciiChar const* getPluginName() const noexcept override { return kName; }
    AsciiChar const* getPluginVersion() const noexcept override { return kVersion; }
    AsciiChar const* getPluginNamespace() const noexcept override { return kNamespace; }

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
            complain("it takes 9 inputs, query [N, D] and v [D, H, W] first");
            return -1;
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
        complain("a profile may have at most " + std::to_string(TILEFIX_CLICK_LIMIT) + " clicks");
        return -1;
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
        complain("its inputs do not fit together, or there are no or too many clicks");
        return -1;
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
        int32_t const code = tilefix_tile_attention(&a, stream);
        if (code) complain("its launch failed with code " + std::to_string(code));
        return code;
    }
    IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return clone(); }
    PluginFieldCollection const* getFieldsToSerialize() noexcept override { return &collection_; }

private:
    Settings settings_;
    std::array<PluginField, kFields.size()> fields_;
    PluginFieldCollection collection_;
};

class Creator final : public IPluginCreatorV3One {
public:
    Creator() {
        for (size_t i = 0; i < kFields.size(); ++i)
            fields_[i] = PluginField(kFields[i].name, nullptr, kFields[i].type, 1);
        collection_.nbFields = int32_t(fields_.size());
        collection_.fields = fields_.data();
    }
    AsciiChar const* getPluginName() const noexcept override { return kName; }
    AsciiChar const* getPluginVersion() const noexcept override { return kVersion; }
    AsciiChar const* getPluginNamespace() const noexcept override { return kNamespace; }
    PluginFieldCollection const* getFieldNames() noexcept override { return &collection_; }

    // Every field must be there: a missing one has no default that is right for all variants.
    IPluginV3* createPlugin(AsciiChar const*, PluginFieldCollection const* given,
                            TensorRTPhase) noexcept override {
        Settings settings;
        for (Field const& field : kFields) {
            PluginField const* found = nullptr;
            for (int32_t i = 0; i < given->nbFields; ++i)
                if (!std::strcmp(given->fields[i].name, field.name)) found = &given->fields[i];
            if (!found || !found->data || found->type != field.type) {
                complain(std::string("the field ") + field.name + " is missing or of another type");
                return nullptr;
            }
            std::memcpy(reinterpret_cast<char*>(&settings) + field.offset, found->data, 4);
        }
        settings.min_max = settings.min_max != 0;
        settings.attention = settings.attention != 0;
        return new (std::nothrow) Plugin(settings);
    }

private:
    std::array<PluginField, kFields.size()> fields_;
    PluginFieldCollection collection_;
};

}  // namespace

extern "C" TILEFIX_API void setLoggerFinder(ILoggerFinder* finder) { logger_finder = finder; }

extern "C" TILEFIX_API IPluginCreatorInterface* const* getCreators(int32_t& count) {
    static Creator creator;
    static IPluginCreatorInterface* const all[] = {&creator};
    count = 1;
    return all;
}
