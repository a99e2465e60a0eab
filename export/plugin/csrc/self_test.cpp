// Drives the plugin through its V3 interface as a TensorRT build and run would, without libnvinfer.
//
// From Python: data_ptr() of torch tensors and a stream. So the kernels and the shell around them
// are proved on any CUDA GPU, TensorRT or not.
#include <NvInferRuntime.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tile_attention.h"

using namespace nvinfer1;

extern "C" IPluginCreatorInterface* const* getCreators(int32_t& count);
extern "C" void setLoggerFinder(ILoggerFinder* finder);

namespace {

constexpr int32_t kFailed = -100;
std::string heard;  // what the plugin last complained of

struct Listener final : ILogger, ILoggerFinder {
    void log(Severity, AsciiChar const* text) noexcept override { heard = text; }
    ILogger* findLogger() override { return this; }
};

struct Number final : IDimensionExpr, apiv::VDimensionExpr {
    explicit Number(int64_t v) : value(v) { IDimensionExpr::mImpl = this; }
    bool isConstant() const override { return true; }
    int64_t getConstantValue() const override { return value; }
    bool isSizeTensor() const override { return false; }
    int64_t value;
};

struct Numbers final : IExprBuilder, apiv::VExprBuilder {
    Numbers() { IExprBuilder::mImpl = this; }
    IDimensionExpr const* constant(int64_t value) override {
        made.push_back(std::make_unique<Number>(value));
        return made.back().get();
    }
    IDimensionExpr const* operation(DimensionOperation, IDimensionExpr const&,
                                    IDimensionExpr const&) override {
        return nullptr;
    }
    IDimensionExpr const* declareSizeTensor(int32_t, IDimensionExpr const&,
                                            IDimensionExpr const&) override {
        return nullptr;
    }
    std::vector<std::unique_ptr<Number>> made;
};

PluginTensorDesc tensor(DataType type, std::initializer_list<int64_t> sizes) {
    PluginTensorDesc d{};
    d.dims.nbDims = int32_t(sizes.size());
    std::copy(sizes.begin(), sizes.end(), d.dims.d);
    d.type = type;
    d.format = TensorFormat::kLINEAR;
    d.scale = 1.f;
    return d;
}

DynamicPluginTensorDesc dynamic(PluginTensorDesc const& d) {
    DynamicPluginTensorDesc out{};
    out.desc = d, out.min = d.dims, out.max = d.dims, out.opt = d.dims;
    return out;
}

}  // namespace

// Builds, serialises, deserialises and enqueues a plugin of the settings, sizes and pointers of
// `a` (windows is 1). Returns 0, or -100 or enqueue's code; `stage` then says where, and `reason`
// what the plugin complained of.
extern "C" TILEFIX_API int32_t tilefix_plugin_self_test(TileAttentionArguments const* a, void* stream,
                                                        char const** stage, char const** reason) {
    Listener listener;
    setLoggerFinder(&listener);
    struct Forget {
        ~Forget() { setLoggerFinder(nullptr); }
    } forget;
    heard.clear();
    auto const fail = [&](char const* where, int32_t code = kFailed) {
        *stage = where, *reason = heard.c_str();
        return code;
    };
    int32_t count = 0;
    auto* const* const creators = getCreators(count);
    if (count != 1) return fail("getCreators");
    auto* const creator = static_cast<IPluginCreatorV3One*>(creators[0]);
    int32_t const attention = a->attention != nullptr;
    std::vector<PluginField> fields;
    for (auto const& [name, value] : std::initializer_list<std::pair<char const*, float const*>>{
             {"gate_offset", &a->gate_offset}, {"gate_slope", &a->gate_slope},
             {"stride_px", &a->stride_px}, {"log_size_limit", &a->log_size_limit},
             {"click_var", &a->click_var}, {"centre_var", &a->centre_var},
             {"floor_var_px2", &a->floor_var_px2}})
        fields.emplace_back(name, value, PluginFieldType::kFLOAT32, 1);
    PluginFieldCollection given{int32_t(fields.size()), fields.data()};
    if (creator->createPlugin("incomplete", &given, TensorRTPhase::kBUILD) ||
        heard.find("min_max") == std::string::npos)
        return fail("a plugin without its fields was not refused");
    fields.emplace_back("min_max", &a->min_max, PluginFieldType::kINT32, 1);
    fields.emplace_back("attention", &attention, PluginFieldType::kINT32, 1);
    given = {int32_t(fields.size()), fields.data()};
    if (creator->getFieldNames()->nbFields != given.nbFields) return fail("getFieldNames");

    std::unique_ptr<IPluginV3> built(creator->createPlugin("one", &given, TensorRTPhase::kBUILD));
    if (!built) return fail("createPlugin");
    std::unique_ptr<IPluginV3> cloned(built->clone());
    auto* const build = static_cast<IPluginV3OneBuild*>(
        cloned->getCapabilityInterface(PluginCapabilityType::kBUILD));
    int64_t const n = a->clicks, d = a->embedding, c = a->hidden, h = a->rows, w = a->columns;
    int64_t const k = a->anchor_count;
    DataType const stored = a->half ? DataType::kHALF : DataType::kFLOAT, f = DataType::kFLOAT;
    std::vector<PluginTensorDesc> const in = {
        tensor(stored, {n, d}), tensor(stored, {d, h, w}), tensor(stored, {c, h, w}),
        tensor(f, {c, 3}),      tensor(f, {k, c}),         tensor(f, {k, 4, c}),
        tensor(f, {k, 8}),      tensor(f, {n, 2}),         tensor(f, {n})};
    std::vector<PluginTensorDesc> out = {tensor(f, {n, 4}), tensor(f, {n}), tensor(f, {n}),
                                         tensor(f, {n}), tensor(f, {n})};
    if (attention) out.push_back(tensor(f, {n, h, w}));
    int32_t const inputs = int32_t(in.size()), outputs = int32_t(out.size());
    if (build->getNbOutputs() != outputs) return fail("getNbOutputs");

    std::vector<DynamicPluginTensorDesc> all;
    for (auto const& t : in) all.push_back(dynamic(t));
    for (auto const& t : out) all.push_back(dynamic(t));
    for (int32_t i = 0; i < inputs + outputs; ++i) {
        if (!build->supportsFormatCombination(i, all.data(), inputs, outputs))
            return fail("supportsFormatCombination");
        all[i].desc.type = DataType::kINT8;
        if (build->supportsFormatCombination(i, all.data(), inputs, outputs))
            return fail("supportsFormatCombination allows INT8");
        all[i] = dynamic(i < inputs ? in[i] : out[i - inputs]);
    }
    if (build->configurePlugin(all.data(), inputs, all.data() + inputs, outputs))
        return fail("configurePlugin");
    Numbers numbers;
    std::vector<DimsExprs> in_shapes(inputs), out_shapes(outputs);
    for (int32_t i = 0; i < inputs; ++i) {
        in_shapes[i].nbDims = in[i].dims.nbDims;
        for (int32_t j = 0; j < in[i].dims.nbDims; ++j)
            in_shapes[i].d[j] = numbers.constant(in[i].dims.d[j]);
    }
    if (build->getOutputShapes(in_shapes.data(), inputs, nullptr, 0, out_shapes.data(), outputs,
                               numbers))
        return fail("getOutputShapes");
    for (int32_t i = 0; i < outputs; ++i) {
        if (out_shapes[i].nbDims != out[i].dims.nbDims) return fail("an output's rank");
        for (int32_t j = 0; j < out[i].dims.nbDims; ++j)
            if (out_shapes[i].d[j]->getConstantValue() != out[i].dims.d[j])
                return fail("an output's shape");
    }
    if (build->getWorkspaceSize(all.data(), inputs, all.data() + inputs, outputs) !=
        tilefix_tile_attention_workspace_bytes(1, a->clicks, a->rows * a->columns))
        return fail("getWorkspaceSize");

    // As an engine's deserialisation does: a new plugin from the bytes of the old one's fields.
    auto* const before = static_cast<IPluginV3OneRuntime*>(
        cloned->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    PluginFieldCollection const* const saved = before->getFieldsToSerialize();
    std::vector<std::vector<char>> bytes;
    std::vector<PluginField> loaded(saved->fields, saved->fields + saved->nbFields);
    for (auto& field : loaded) {
        auto const* const data = static_cast<char const*>(field.data);
        bytes.emplace_back(data, data + 4 * field.length);
        field.data = bytes.back().data();
    }
    built.reset();
    cloned.reset();
    given = {int32_t(loaded.size()), loaded.data()};
    std::unique_ptr<IPluginV3> plan(creator->createPlugin("two", &given, TensorRTPhase::kRUNTIME));
    if (!plan) return fail("createPlugin from serialised fields");
    auto* const runtime = static_cast<IPluginV3OneRuntime*>(
        plan->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    std::unique_ptr<IPluginV3> context(runtime->attachToContext(nullptr));
    auto* const ready = static_cast<IPluginV3OneRuntime*>(
        context->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    if (ready->onShapeChange(in.data(), inputs, out.data(), outputs)) return fail("onShapeChange");
    void const* const given_tensors[] = {a->query,   a->v,           a->u,
                                         a->channels, a->confidence, a->boxes,
                                         a->anchors, a->prior_xy_px, a->prior_inv_var};
    void* const answers[] = {a->box_xyxy_px,            a->confidence_logit, a->peak_similarity,
                             a->second_peak_similarity, a->cell_similarity,  a->attention};
    int32_t const code = ready->enqueue(in.data(), out.data(), given_tensors, answers, a->workspace,
                                        static_cast<cudaStream_t>(stream));
    return code ? fail("enqueue", code) : 0;
}
