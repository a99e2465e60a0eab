// What TensorRT asks of a plugin library: its creators, and where to log.
//
// Nothing of libnvinfer is linked, so one library serves TensorRT 10.3 to 11 and TensorRT-RTX. It
// offers getCreators and setLoggerFinder, not the old getPluginCreators.
#include "plugin_shell.h"

using namespace nvinfer1;

namespace {

ILoggerFinder* logger_finder = nullptr;

}  // namespace

void tilefix::plugin::complain(char const* plugin, std::string const& text) noexcept {
    ILogger* const logger = logger_finder ? logger_finder->findLogger() : nullptr;
    std::string const line = std::string("tilefix ") + plugin + ": " + text;
    if (logger) logger->log(ILogger::Severity::kERROR, line.c_str());
}

extern "C" TILEFIX_API void setLoggerFinder(ILoggerFinder* finder) { logger_finder = finder; }

extern "C" TILEFIX_API IPluginCreatorInterface* const* getCreators(int32_t& count) {
    static IPluginCreatorInterface* const all[] = {tilefix::plugin::tile_attention_creator(),
                                                   tilefix::plugin::cross_attention_creator()};
    count = int32_t(std::size(all));
    return all;
}
