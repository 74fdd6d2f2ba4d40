// Objects of the host's: what they throw, when they go, and that they go once.
#include "test.hpp"

#include <atomic>
#include <stdexcept>
#include <unordered_map>

using namespace pan123;

static std::atomic<int> alive{0};

// Counts how many objects there are.
struct Counted {
    Counted() { alive++; }
    ~Counted() { alive--; }
    Counted(const Counted &) = delete;
};

// Reads from memory; from `hurdle` on it first does what it is told to.
class Memory : public ByteSource, Counted {
public:
    explicit Memory(std::string bytes) : bytes_(std::move(bytes)) {}
    Expected<std::size_t> read_at(std::uint64_t offset, Buffer into) override
    {
        if (hurdle && offset + into.size() > from) hurdle();
        if (!(fails == errc::ok)) return Error(fails, "the tape is torn");
        return bytes_.copy(reinterpret_cast<char *>(into.data()), into.size(), static_cast<std::size_t>(offset));
    }
    Expected<void> identity(Identity &now) override
    {
        now.mtime_ns = 5;
        return {};
    }
    void (*hurdle)() = nullptr;
    std::uint64_t from = 0;
    errc fails = errc::ok;

private:
    std::string bytes_;
};

class Layer : public HttpLayer, Counted {
public:
    Expected<void> send(Http &exchange) override
    {
        sends++;
        if (broken) throw std::runtime_error("the layer came loose");
        const bool is_create = exchange.url().find("/upload/v2/file/create") != std::string_view::npos;
        CHECK(exchange.method() == "POST" || exchange.method() == "GET");
        CHECK(exchange.url().substr(0, 7) == "http://" && exchange.timeout().count() > 0 && !exchange.status());
        if (auto set = exchange.set_request_header("X-Layer", "C++"); !set) return set;
        bool found = false;
        for (std::size_t i = 0; auto header = exchange.request_header(i); i++) found |= header->name == "X-Layer" || header->name == "x-layer";
        CHECK(found);
        CHECK(!exchange.set_request_header("Host", "elsewhere"));
        if (is_create) {
            std::string body(static_cast<std::size_t>(exchange.body_len()), '\0');
            CHECK(GOOD(exchange.read_body(0, body)) == body.size() && body.find("\"etag\"") != std::string::npos);
        }
        if (auto forwarded = exchange.forward(); !forwarded) return forwarded;
        CHECK(exchange.status() == 200 && !exchange.answer_body().empty() && exchange.answer_header(0));
        return exchange.set_answer_header("X-Seen", "yes");
    }
    std::atomic<int> sends{0};
    std::atomic<bool> broken{false};
};

// Answers everything itself.
class Wall : public HttpLayer {
public:
    Expected<void> send(Http &exchange) override { return exchange.answer(403, Bytes(std::string_view("{}"))); }
};

class Vault : public TokenProvider, Counted {
public:
    Expected<AccessToken> get(std::optional<std::string_view> refused) override
    {
        if (locked == 1) return Error(errc::login, "the vault is locked");
        if (locked == 2) throw std::runtime_error("the vault is on fire");
        if (locked == 3) throw 3;
        if (refused) {
            CHECK(*refused == "stale");
            refusals++;
        }
        if (!refused && gets++ == 0) return AccessToken{"stale"};
        return AccessToken{env("PAN123_ACCESS_TOKEN"), std::chrono::system_clock::now() + std::chrono::hours(1)};
    }
    std::atomic<int> gets{0}, refusals{0}, locked{0};
};

class Drawer : public ResumeStore, Counted {
public:
    Expected<std::string> load(std::string_view key) override
    {
        const std::lock_guard lock(lock_);
        loads++;
        const auto found = entries_.find(std::string(key));
        return found == entries_.end() ? std::string() : found->second;
    }
    Expected<void> save(std::string_view key, Bytes data) override
    {
        const std::lock_guard lock(lock_);
        saves++;
        if (jammed) throw std::runtime_error("the drawer is jammed");
        entries_[std::string(key)] = std::string(data.text());
        return {};
    }
    Expected<void> remove(std::string_view key) override
    {
        const std::lock_guard lock(lock_);
        entries_.erase(std::string(key));
        return {};
    }
    std::size_t size()
    {
        const std::lock_guard lock(lock_);
        return entries_.size();
    }
    std::atomic<int> loads{0}, saves{0};
    std::atomic<bool> jammed{false};

private:
    std::mutex lock_;
    std::unordered_map<std::string, std::string> entries_;
};

class Watcher : public Observer, Counted {
public:
    void on_event(const Event &event) override
    {
        events++;
        if (event.is_last()) last++;
        if (event.kind == EventKind::state && event.stage() == Stage::hashing) throw std::runtime_error("not my day");
    }
    std::atomic<int> events{0}, last{0};
};

// A client with everything in it, and handles that can go in any order.
struct World {
    std::shared_ptr<Layer> layer = std::make_shared<Layer>();
    std::shared_ptr<Vault> vault = std::make_shared<Vault>();
    std::shared_ptr<Drawer> drawer = std::make_shared<Drawer>();
    std::shared_ptr<Watcher> watcher = std::make_shared<Watcher>();
    Transport transport = GOOD(Transport::make(layer));
    Tokens tokens = GOOD(Tokens::make(vault));
    Store store = GOOD(Store::make(drawer, Calls::one_at_a_time));
    Queue queue = GOOD(Queue::push(watcher));
    Client client;

    World()
    {
        Parts parts;
        parts.tokens = &tokens;
        parts.transport = &transport;
        parts.store = &store;
        parts.queue = &queue;
        client = GOOD(Client::make(ClientOptions().base_url(env("PAN123_BASE_URL")), parts));
    }
};

static void everything_at_once()
{
    World world;
    const Source source = GOOD(Source::make(std::make_shared<Memory>(make_bytes(20000000, 21)), 20000000));
    UploadOptions options;
    options.resume_key("everything at once");
    const Result result = GOOD(GOOD(world.client.upload(source, 0, "at once", options)).run());
    CHECK(result.file_id() > 0 && world.layer->sends > 3 && world.vault->refusals == 1);
    CHECK(world.drawer->loads > 0 && world.drawer->saves > 0 && comes([&] { return world.drawer->size() == 0; }));
    GOOD(world.client.shutdown(Running::finishes));
    CHECK(world.watcher->last == 1 && world.watcher->events > 3);
}

static void what_is_thrown()
{
    World world;
    auto &client = world.client;
    const auto run = [&](const std::shared_ptr<ByteSource> &source, const char *name) {
        const Source handle = GOOD(Source::make(source, 1000000));
        return GOOD(client.upload(handle, 0, name)).run();
    };
    auto memory = std::make_shared<Memory>(make_bytes(1000000, 22));
    memory->hurdle = [] { throw std::runtime_error("the disk has fallen off"); };
    BAD(callback, "the disk has fallen off", run(memory, "throws"));
    memory->hurdle = [] { throw 7; };
    BAD(callback, "no std::exception", run(memory, "throws an int"));
    memory->hurdle = [] { throw std::bad_alloc(); };
    BAD(callback, "bad_alloc", run(memory, "throws bad_alloc"));
    memory->hurdle = [] { throw Exception(Error(errc::network, "thrown with care")); };
    BAD(network, "thrown with care", run(memory, "throws ours"));
    memory->hurdle = nullptr;
    memory->fails = errc::not_supported;
    BAD(not_supported, "the tape is torn", run(memory, "fails"));
    const Source handle = GOOD(Source::make(memory, 1000000));
    BAD(not_supported, "the tape is torn", hash(handle));
    memory->fails = errc::ok;

    world.vault->locked = 1;
    BAD(login, "the vault is locked", client.token());
    world.vault->locked = 2;
    BAD(callback, "the vault is on fire", client.token());
    world.vault->locked = 3;
    BAD(callback, "no std::exception", client.token());
    world.vault->locked = 0;
    world.layer->broken = true;
    BAD(callback, "the layer came loose", client.domain());
    world.layer->broken = false;
    // An upload goes on without its store.
    world.drawer->jammed = true;
    UploadOptions options;
    options.resume_key("jammed");
    CHECK(GOOD(GOOD(client.upload(handle, 0, "jammed", options)).run()).file_id() > 0);
    CHECK(world.drawer->saves > 0 && world.drawer->size() == 0);
    GOOD(client.shutdown(Running::is_cancelled));

    Parts parts;
    const Transport wall = GOOD(Transport::make(std::make_shared<Wall>(), world.transport));
    parts.transport = &wall;
    const Client walled = GOOD(Client::make(emulator(), parts));
    const int sends = world.layer->sends;
    CHECK(!walled.domain() && world.layer->sends == sends);
}

static Gate *gate;

// Every handle and every pointer goes while the source is being read; the upload ends all the same.
static void destroyed_during_an_upload()
{
    Gate here;
    gate = &here;
    auto watcher = std::make_shared<Watcher>();
    std::weak_ptr<Memory> watch;
    {
        const Queue queue = GOOD(Queue::push(watcher));
        Parts parts;
        parts.queue = &queue;
        const Client client = GOOD(Client::make(emulator(), parts));
        auto memory = std::make_shared<Memory>(make_bytes(3000000, 23));
        watch = memory;
        memory->from = 2000000;
        memory->hurdle = [] { gate->pass(); };
        const Source source = GOOD(Source::make(std::move(memory), 3000000));
        const Upload upload = GOOD(client.upload(source, 0, "abandoned"));
        GOOD(upload.start());
        here.reached();
    }
    CHECK(!watch.expired() && watcher->last == 0);
    here.open();
    CHECK(comes([&] { return watch.expired() && watcher->last == 1; }));
}

// Eight orders, with the upload not started, running, and over.
static void freed_in_any_order()
{
    for (unsigned order = 0; order < 24; order++) {
        const unsigned state = order / 8;
        {
            auto world = std::make_unique<World>();
            Source source = GOOD(Source::make(std::make_shared<Memory>(make_bytes(300000, 30 + order)), 300000));
            Upload upload = GOOD(world->client.upload(source, 0, "order " + std::to_string(order)));
            if (state > 0) GOOD(upload.start());
            if (state > 1) GOOD(upload.wait());
            unsigned next = order;
            for (int left = 8; left > 0; left--, next = next * 5 + 1) { // Visits all eight.
                switch (next % 8) {
                case 0: source.reset(); break;
                case 1: world->transport.reset(); break;
                case 2: world->tokens.reset(); break;
                case 3: world->store.reset(); break;
                case 4: world->queue.reset(); break;
                case 5: world->client.reset(); break;
                case 6: upload.reset(); break;
                case 7: world->layer.reset(), world->vault.reset(), world->drawer.reset(), world->watcher.reset(); break;
                }
            }
        }
        CHECK(comes([] { return alive == 0; }));
    }
}

int main()
{
    everything_at_once();
    CHECK(comes([] { return alive == 0; }));
    what_is_thrown();
    CHECK(comes([] { return alive == 0; }));
    destroyed_during_an_upload();
    CHECK(comes([] { return alive == 0; }));
    freed_in_any_order();
    std::puts("ok");
}
