// What the TensorRT shells of all kernels share: IPluginV3 with its creator, against the headers
// alone.
#ifndef TILEFIX_PLUGIN_SHELL_H_
#define TILEFIX_PLUGIN_SHELL_H_

#include <NvInferRuntime.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>

#include "interface.h"

namespace tilefix::plugin {

constexpr char const* kVersion = "1";
constexpr char const* kNamespace = "";

// In plugin_library.cpp: to TensorRT's log, where it has given one.
void complain(char const* plugin, std::string const& text) noexcept;

// One in each shell's file.
nvinfer1::IPluginCreatorInterface* tile_attention_creator();
nvinfer1::IPluginCreatorInterface* cross_attention_creator();

struct Field {  // of a plugin's settings; 4 bytes
    char const* name;
    nvinfer1::PluginFieldType type;
    size_t offset;
};

#define TILEFIX_FLOAT_FIELD(name) \
    tilefix::plugin::Field{#name, nvinfer1::PluginFieldType::kFLOAT32, offsetof(Settings, name)}
#define TILEFIX_INT_FIELD(name) \
    tilefix::plugin::Field{#name, nvinfer1::PluginFieldType::kINT32, offsetof(Settings, name)}

template <size_t kCount>
class Collection {  // as TensorRT takes it; without data where there are no settings
public:
    Collection(std::array<Field, kCount> const& fields, void const* settings) {
        auto const* const data = static_cast<char const*>(settings);
        for (size_t i = 0; i < kCount; ++i)
            fields_[i] = nvinfer1::PluginField(
                fields[i].name, data ? data + fields[i].offset : nullptr, fields[i].type, 1);
        collection_.nbFields = int32_t(kCount);
        collection_.fields = fields_.data();
    }
    Collection(Collection const&) = delete;
    Collection& operator=(Collection const&) = delete;
    nvinfer1::PluginFieldCollection const* get() const { return &collection_; }

private:
    std::array<nvinfer1::PluginField, kCount> fields_;
    nvinfer1::PluginFieldCollection collection_;
};

// What a plugin is apart from its tensors. Kernel has kName, kFields and Settings; Plugin derives
// from this and is made of Settings.
template <typename Plugin, typename Kernel>
class Shell : public nvinfer1::IPluginV3,
              public nvinfer1::IPluginV3OneCore,
              public nvinfer1::IPluginV3OneBuild,
              public nvinfer1::IPluginV3OneRuntime {
public:
    explicit Shell(typename Kernel::Settings const& settings)
        : settings_(settings), collection_(Kernel::kFields, &settings_) {}

    nvinfer1::IPluginCapability* getCapabilityInterface(
        nvinfer1::PluginCapabilityType type) noexcept override {
        using nvinfer1::PluginCapabilityType;
        switch (type) {
            case PluginCapabilityType::kCORE:
                return static_cast<nvinfer1::IPluginV3OneCore*>(this);
            case PluginCapabilityType::kBUILD:
                return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
            case PluginCapabilityType::kRUNTIME:
                return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }
    nvinfer1::IPluginV3* clone() noexcept override { return new (std::nothrow) Plugin(settings_); }

    char const* getPluginName() const noexcept override { return Kernel::kName; }
    char const* getPluginVersion() const noexcept override { return kVersion; }
    char const* getPluginNamespace() const noexcept override { return kNamespace; }

    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
        return clone();
    }
    nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override {
        return collection_.get();
    }

protected:
    int32_t refuse(std::string const& text) const noexcept {
        complain(Kernel::kName, text);
        return -1;
    }
    int32_t launched(int32_t code) const noexcept {
        if (code) complain(Kernel::kName, "its launch failed with code " + std::to_string(code));
        return code;
    }

    typename Kernel::Settings settings_;

private:
    Collection<Kernel::kFields.size()> collection_;
};

template <typename Plugin, typename Kernel>
class Creator final : public nvinfer1::IPluginCreatorV3One {
public:
    Creator() : collection_(Kernel::kFields, nullptr) {}
    char const* getPluginName() const noexcept override { return Kernel::kName; }
    char const* getPluginVersion() const noexcept override { return kVersion; }
    char const* getPluginNamespace() const noexcept override { return kNamespace; }
    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override {
        return collection_.get();
    }

    // Every field must be there: a missing one has no default that is right for all variants.
    nvinfer1::IPluginV3* createPlugin(char const*, nvinfer1::PluginFieldCollection const* given,
                                      nvinfer1::TensorRTPhase) noexcept override {
        typename Kernel::Settings settings;
        for (Field const& field : Kernel::kFields) {
            nvinfer1::PluginField const* found = nullptr;
            for (int32_t i = 0; i < given->nbFields; ++i)
                if (!std::strcmp(given->fields[i].name, field.name)) found = &given->fields[i];
            if (!found || !found->data || found->type != field.type) {
                complain(Kernel::kName, std::string("the field ") + field.name +
                                            " is missing or of another type");
                return nullptr;
            }
            std::memcpy(reinterpret_cast<char*>(&settings) + field.offset, found->data, 4);
        }
        return new (std::nothrow) Plugin(settings);
    }

private:
    Collection<Kernel::kFields.size()> collection_;
};

}  // namespace tilefix::plugin
#endif
