// A plugin in C++ with a store that holds what its configuration names, each entry with its key for its content.
#define PAN123_PLUGIN
#include <algorithm>
#include <pan123.hpp>

using namespace pan123;

class Keeper : public ResumeStore {
public:
    explicit Keeper(std::string_view config)
    {
        while (!config.empty()) {
            const std::size_t end = std::min(config.find(' '), config.size());
            keys_.emplace_back(config.substr(0, end));
            config.remove_prefix(std::min(end + 1, config.size()));
        }
    }
    Expected<std::string> load(std::string_view key) override { return std::string(key); }
    Expected<void> save(std::string_view, Bytes) override { return {}; }
    Expected<void> remove(std::string_view) override { return {}; }
    Expected<std::vector<std::string>> list() override { return keys_; }

private:
    std::vector<std::string> keys_;
};

class Silent : public ResumeStore {
public:
    Expected<std::string> load(std::string_view) override { return std::string(); }
    Expected<void> save(std::string_view, Bytes) override { return {}; }
    Expected<void> remove(std::string_view) override { return {}; }
};

static Expected<PluginParts> open(std::string_view config)
{
    PluginParts parts;
    if (config == "silent")
        parts.store = std::make_shared<Silent>();
    else
        parts.store = std::make_shared<Keeper>(config);
    return parts;
}

PAN123_DEFINE_PLUGIN("keeper", "1.0", open)
