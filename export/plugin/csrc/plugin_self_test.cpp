#include "plugin_self_test.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

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

DynamicPluginTensorDesc dynamic(PluginTensorDesc const& d) {
    DynamicPluginTensorDesc out{};
    out.desc = d, out.min = d.dims, out.max = d.dims, out.opt = d.dims;
    return out;
}

IPluginCreatorV3One* creator_of(char const* plugin) {
    int32_t count = 0;
    auto* const* const creators = getCreators(count);
    for (int32_t i = 0; i < count; ++i) {
        auto* const creator = static_cast<IPluginCreatorV3One*>(creators[i]);
        if (!std::strcmp(creator->getPluginName(), plugin)) return creator;
    }
    return nullptr;
}

}  // namespace

PluginTensorDesc tilefix::self_test::tensor(DataType type, std::initializer_list<int64_t> sizes) {
    PluginTensorDesc d{};
    d.dims.nbDims = int32_t(sizes.size());
    std::copy(sizes.begin(), sizes.end(), d.dims.d);
    d.type = type;
    d.format = TensorFormat::kLINEAR;
    d.scale = 1.f;
    return d;
}

int32_t tilefix::self_test::drive(Call const& call, char const** stage, char const** reason) {
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
    IPluginCreatorV3One* const creator = creator_of(call.plugin);
    if (!creator) return fail("getCreators");
    int32_t const all_fields = int32_t(call.fields.size());
    PluginFieldCollection given{all_fields - 1, call.fields.data()};
    if (creator->createPlugin("incomplete", &given, TensorRTPhase::kBUILD) ||
        heard.find(call.fields.back().name) == std::string::npos)
        return fail("a plugin without its fields was not refused");
    given.nbFields = all_fields;
    if (creator->getFieldNames()->nbFields != all_fields) return fail("getFieldNames");

    std::unique_ptr<IPluginV3> built(creator->createPlugin("one", &given, TensorRTPhase::kBUILD));
    if (!built) return fail("createPlugin");
    std::unique_ptr<IPluginV3> cloned(built->clone());
    auto* const build = static_cast<IPluginV3OneBuild*>(
        cloned->getCapabilityInterface(PluginCapabilityType::kBUILD));
    auto const& in = call.in;
    auto const& out = call.out;
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
    std::vector<DataType> in_types, out_types(outputs);
    for (auto const& t : in) in_types.push_back(t.type);
    if (build->getOutputDataTypes(out_types.data(), outputs, in_types.data(), inputs))
        return fail("getOutputDataTypes");
    for (int32_t i = 0; i < outputs; ++i)
        if (out_types[i] != out[i].type) return fail("an output's type");
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
        call.workspace_bytes)
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
    int32_t const code =
        ready->enqueue(in.data(), out.data(), call.inputs.data(), call.outputs.data(),
                       call.workspace, static_cast<cudaStream_t>(call.stream));
    return code ? fail("enqueue", code) : 0;
}
