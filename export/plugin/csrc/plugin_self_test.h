// Drives a plugin through its V3 interface as a TensorRT build and run would, without libnvinfer.
//
// From Python: data_ptr() of torch tensors and a stream. So the kernels and the shells around them
// are proved on any CUDA GPU, TensorRT or not.
#ifndef TILEFIX_PLUGIN_SELF_TEST_H_
#define TILEFIX_PLUGIN_SELF_TEST_H_

#include <NvInferRuntime.h>

#include <initializer_list>
#include <vector>

#include "interface.h"

namespace tilefix::self_test {

struct Call {  // one plugin, one enqueue
    char const* plugin;
    std::vector<nvinfer1::PluginField> fields;  // the last is left out once, and must be missed
    std::vector<nvinfer1::PluginTensorDesc> in, out;
    std::vector<void const*> inputs;
    std::vector<void*> outputs;
    void* workspace;
    size_t workspace_bytes;  // what the plugin must ask for
    void* stream;
};

nvinfer1::PluginTensorDesc tensor(nvinfer1::DataType type, std::initializer_list<int64_t> sizes);

// Builds, serialises, deserialises and enqueues. Returns 0, or -100 or enqueue's code; `stage` then
// says where, and `reason` what the plugin complained of.
int32_t drive(Call const& call, char const** stage, char const** reason);

}  // namespace tilefix::self_test
#endif
