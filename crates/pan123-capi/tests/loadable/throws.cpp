// A plugin in C++ that throws where its configuration says, and works where it does not.
#define PAN123_PLUGIN
#include <cstdlib>
#include <pan123.hpp>
#include <stdexcept>

using namespace pan123;

static void perhaps(const std::string &config, const char *where)
{
    if (config == where) throw std::runtime_error(std::string("thrown by ") + where);
    if (config == std::string("int by ") + where) throw 7;
}

class Layer : public HttpLayer {
public:
    explicit Layer(std::string config) : config_(std::move(config)) {}
    Expected<void> send(Http &exchange) override
    {
        perhaps(config_, "send");
        if (exchange.url().empty() || exchange.method().empty()) return Error(errc::protocol, "no URL");
        return exchange.forward();
    }

private:
    std::string config_;
};

class Vault : public TokenProvider {
public:
    explicit Vault(std::string config) : config_(std::move(config)) {}
    Expected<AccessToken> get(std::optional<std::string_view>) override
    {
        perhaps(config_, "get");
        return AccessToken{std::getenv("PAN123_ACCESS_TOKEN")};
    }

private:
    std::string config_;
};

class Drawer : public ResumeStore {
public:
    explicit Drawer(std::string config) : config_(std::move(config)) {}
    Expected<std::string> load(std::string_view) override
    {
        perhaps(config_, "load");
        return std::string();
    }
    Expected<void> save(std::string_view, Bytes) override
    {
        perhaps(config_, "save");
        return {};
    }
    Expected<void> remove(std::string_view) override
    {
        perhaps(config_, "remove");
        return {};
    }

private:
    std::string config_;
};

static Expected<PluginParts> open(std::string_view given)
{
    const std::string config(given);
    perhaps(config, "open");
    if (config == "refuses") return Error(errc::login, "the vault is locked");
    PluginParts parts;
    parts.transport = std::make_shared<Layer>(config);
    parts.tokens = std::make_shared<Vault>(config);
    parts.store = std::make_shared<Drawer>(config);
    if (config == "in turns") parts.calls = Calls::one_at_a_time;
    return parts;
}

PAN123_DEFINE_PLUGIN("throws", "1.0", open)
