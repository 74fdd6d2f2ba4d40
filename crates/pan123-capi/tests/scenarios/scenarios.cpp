// The scenarios of bindings/scenarios.json in C++. With arguments: only those.
#include "scene.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <pan123.hpp>
#include <set>
#include <vector>

using namespace pan123;

// What an exception that leaves a scenario says is why it failed.
template <void (*Run)(scene &)> static void guarded(scene *scene)
{
    try {
        Run(*scene);
    } catch (const std::exception &thrown) {
        scene_fails(__FILE__, __LINE__, scene->folder, thrown.what());
    }
}

using Content = std::vector<std::uint8_t>;

static Content make_content(std::size_t len)
{
    std::uint8_t *bytes = scene_bytes(len, 2);
    Content content(bytes, bytes + len);
    free(bytes);
    return content;
}

static Client make_client(const scene &scene, const Parts &parts = {}, const char *token = SCENE_TOKEN)
{
    ClientOptions options;
    options.base_url(scene.url).access_token(token).state_dir(std::string(scene.folder) + "/state");
    options.set(PAN123_OPT_PROGRESS_MS, 10u);
    return Client::make(options, parts).value_or_throw();
}

// A file, and a client whose events can be taken.
struct Kit {
    Content content;
    Queue queue = Queue::pull().value_or_throw();
    Parts parts;
    Client client;
    Source source;

    explicit Kit(const scene &scene, std::size_t len = SCENE_BYTES) : content(make_content(len))
    {
        char path[128];
        scene_file(&scene, "local", content.data(), len, path);
        parts.queue = &queue;
        client = make_client(scene, parts);
        source = Source::from_path(path).value_or_throw();
    }
    // The next event; there has to be one.
    Event next() const { return queue.next(std::chrono::minutes(1)).value_or_throw(); }
    void is_right(scene &scene, int slices = 5) const
    {
        scene_is_right(&scene, "remote", content.data(), content.size(), slices);
    }
};

static bool stored(const scene &scene, const char *name, const Content &content)
{
    return scene_stored(&scene, name, content.data(), content.size());
}

// Checks what an upload says of the content. Returns whether it was reused.
static bool check(const Result &result, const Content &content)
{
    const Result digests = hash(Source::from_memory(Content(content)).value_or_throw(), SCENE_SLICE).value_or_throw();
    CHECK(result.etag() == digests.etag() && result.size() == content.size() && result.file_id() > 0);
    CHECK(result.is_reused() || result.slice_count() == digests.slice_count());
    return result.is_reused();
}

static bool run(const Client &client, const Source &source, const Content &content, const char *name = "remote")
{
    const Result result = client.upload(source, 0, name).value_or_throw().run().value_or_throw();
    return check(result, content);
}

static void upload(scene &scene)
{
    const Kit kit(scene);
    CHECK(!run(kit.client, kit.source, kit.content));
    kit.is_right(scene);
}

static void reuse(scene &scene)
{
    const Kit kit(scene);
    CHECK(!run(kit.client, kit.source, kit.content, "first"));
    CHECK(run(kit.client, kit.source, kit.content, "second"));
    scene_stop(&scene);
    CHECK(stored(scene, "first", kit.content) && stored(scene, "second", kit.content));
    CHECK(scene_requests(&scene, "slice", 0) == 5 && scene_requests(&scene, "create", 0) == 2);
}

static void retry(scene &scene)
{
    const Kit kit(scene);
    CHECK(!run(kit.client, kit.source, kit.content));
    int retries = 0;
    for (Event event = kit.next(); !event.is_last(); event = kit.next())
        retries += event.kind == EventKind::retry && !event.text.empty();
    CHECK(retries >= 1);
    snprintf(scene.said, SCENE_SAID, "%d retries told of", retries);
    scene_stop(&scene);
    CHECK(stored(scene, "remote", kit.content));
    CHECK(scene_requests(&scene, "slice", 2) == 3 && scene_requests(&scene, "upload_complete", 0) >= 2);
}

static void cancel(scene &scene)
{
    const Kit kit(scene);
    const Upload upload = kit.client.upload(kit.source, 0, "remote").value_or_throw();
    upload.start().value_or_throw();
    while (upload.progress().value_or_throw().bytes_sent == 0) kit.next();
    const std::int64_t before = scene_now_ms();
    upload.cancel();
    const Expected<Result> outcome = upload.wait();
    const int took = static_cast<int>(scene_now_ms() - before);
    snprintf(scene.said, SCENE_SAID, "%d ms", took);
    CHECK(!outcome && outcome.error() == errc::cancelled);
    CHECK(took <= 250);
    scene_stop(&scene);
    CHECK(scene_stored_count(&scene) == 0);
}

static void resume(scene &scene)
{
    Kit kit(scene);
    {
        const Upload upload = kit.client.upload(kit.source, 0, "remote").value_or_throw();
        upload.start().value_or_throw();
        while (upload.progress().value_or_throw().slices_done < 3) kit.next();
        upload.cancel();
        const Expected<Result> outcome = upload.wait();
        CHECK(!outcome && outcome.error() == errc::cancelled);
    }
    kit.client.shutdown(Running::is_cancelled).value_or_throw();
    scene_faults(&scene, "{}");
    kit.client = make_client(scene, kit.parts);
    CHECK(!run(kit.client, kit.source, kit.content));
    scene_stop(&scene);
    CHECK(stored(scene, "remote", kit.content));
    for (int slice = 1; slice <= 3; slice++) CHECK(scene_requests(&scene, "slice", slice) == 1);
    CHECK(scene_requests(&scene, "create", 0) == 1);
}

// The message of the service's answer to the first `create`.
static void take_message(const char *line, void *data)
{
    const char *message = strstr(line, "\"message\":\"");
    if (!strstr(line, "\"endpoint\":\"create\"") || !message) return;
    message += sizeof "\"message\":\"" - 1;
    static_cast<std::string *>(data)->assign(message, strchr(message, '"'));
}

static void bad_token(scene &scene)
{
    const std::string token = "not-a-token-of-this-service";
    const Kit kit(scene);
    const Client client = make_client(scene, {}, token.c_str());
    const Expected<Result> outcome = client.upload(kit.source, 0, "remote").value_or_throw().run();
    CHECK(!outcome && outcome.error() == errc::login);
    scene_stop(&scene);
    std::string words;
    scene_each_line(&scene, take_message, &words);
    CHECK(!words.empty() && outcome.error().message().find(words) != std::string_view::npos);
    CHECK(outcome.error().message().find(token) == std::string_view::npos);
    CHECK(outcome.error().json().find(token) == std::string_view::npos);
}

static void bad_name(scene &scene)
{
    const Kit kit(scene);
    const Expected<Upload> upload = kit.client.upload(kit.source, 0, "a:b");
    CHECK(!upload && upload.error() == errc::name && !upload.error().advice().empty());
    scene_stop(&scene);
    CHECK(scene_requests(&scene, "create", 0) == 0);
}

static void missing_file(scene &scene)
{
    const Expected<Source> source = Source::from_path("/nonexistent/film.mkv");
    CHECK(!source && source.error() == errc::source_io);
    CHECK(source.error().message().find("/nonexistent/film.mkv") != std::string_view::npos);
    scene_stop(&scene);
    CHECK(scene_requests(&scene, "create", 0) == 0);
}

class Archive : public ByteSource {
public:
    explicit Archive(const Content &content) : content_(content) {}
    Expected<std::size_t> read_at(std::uint64_t offset, Buffer into) override
    {
        const std::size_t from = static_cast<std::size_t>(offset), n = std::min(into.size(), content_.size() - from);
        std::copy_n(content_.data() + from, n, into.data());
        return n;
    }

private:
    const Content &content_;
};

static void own_source(scene &scene)
{
    const Kit kit(scene);
    auto archive = std::make_shared<Archive>(kit.content);
    const std::weak_ptr<Archive> watch = archive;
    Source source = Source::make(std::move(archive), kit.content.size()).value_or_throw();
    CHECK(!run(kit.client, source, kit.content));
    source.reset();
    kit.is_right(scene);
    kit.client.shutdown(Running::is_cancelled).value_or_throw();
    CHECK(watch.expired());
}

// HTTP as simple as it gets: a connection for each request.
class Sockets : public HttpLayer {
public:
    Expected<void> send(Http &x) override
    {
        char path[1024];
        int port = 0, status = 0, from = 0;
        if (sscanf(std::string(x.url()).c_str(), "http://127.0.0.1:%d%1023s", &port, path) != 2)
            return Error(errc::network, "this transport goes to 127.0.0.1 only");
        std::string head = std::string(x.method()) + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port)
            + "\r\nContent-Length: " + std::to_string(x.body_len()) + "\r\nConnection: close\r\n";
        for (std::size_t i = 0; const auto header = x.request_header(i); i++)
            head.append(header->name).append(": ").append(header->value).append("\r\n");
        char *answer = scene_http(port, (head + "\r\n").c_str(), x.body_len(), give_body, &x, &from);
        const std::string text = answer ? answer : "";
        free(answer);
        const std::size_t body = text.find("\r\n\r\n");
        if (body == std::string::npos || sscanf(text.c_str(), "HTTP/1.1 %d", &status) != 1)
            return Error(errc::network, "the connection broke");
        {
            const std::lock_guard lock(lock_);
            ports.insert(from);
            count++;
        }
        return x.answer(status, Bytes(std::string_view(text).substr(body + 4)));
    }
    std::set<int> ports;
    int count = 0, seen = 0;

private:
    static std::size_t give_body(void *data, std::uint64_t offset, std::uint8_t *buf, std::size_t room)
    {
        const Expected<std::size_t> n = static_cast<Http *>(data)->read_body(offset, Buffer(buf, room));
        return n ? *n : 0;
    }
    std::mutex lock_;
};

static void is_ours(const char *line, void *data)
{
    auto &sockets = *static_cast<Sockets *>(data);
    int port = 0;
    const char *at = strstr(line, "\"peer_port\":");
    CHECK(at && sscanf(at, "\"peer_port\":%d", &port) == 1);
    CHECK(sockets.ports.count(port) == 1);
    sockets.seen++;
}

static void own_transport(scene &scene)
{
    const Kit kit(scene);
    const auto sockets = std::make_shared<Sockets>();
    const Transport transport = Transport::make(sockets).value_or_throw();
    Parts parts;
    parts.transport = &transport;
    const Client client = make_client(scene, parts);
    CHECK(!run(client, kit.source, kit.content));
    client.shutdown(Running::is_cancelled).value_or_throw();
    kit.is_right(scene);
    scene_each_line(&scene, is_ours, sockets.get());
    CHECK(sockets->seen == sockets->count && sockets->seen >= 7);
}

static void progress(scene &scene)
{
    const Kit kit(scene, 8 * SCENE_SLICE);
    const Upload upload = kit.client.upload(kit.source, 0, "remote").value_or_throw();
    upload.start().value_or_throw();
    Progress last = {}, now = {};
    int steps = 0;
    bool is_last = false;
    while (!is_last) {
        is_last = kit.next().is_last();
        now = upload.progress().value_or_throw();
        CHECK(now.bytes_hashed >= last.bytes_hashed && now.bytes_sent >= last.bytes_sent);
        CHECK(now.bytes_confirmed >= last.bytes_confirmed && now.bytes_confirmed <= now.bytes_sent);
        steps += now.bytes_hashed > last.bytes_hashed || now.bytes_sent > last.bytes_sent
            || now.bytes_confirmed > last.bytes_confirmed;
        last = now;
    }
    const std::uint64_t len = kit.content.size();
    CHECK(now.bytes_hashed == len && now.bytes_sent == len && now.bytes_confirmed == len && now.slices_done == 8);
    CHECK(!check(upload.wait().value_or_throw(), kit.content));
    snprintf(scene.said, SCENE_SAID, "%d steps seen", steps);
    kit.is_right(scene, 8);
}

static void slice_by_slice(scene &scene)
{
    const Kit kit(scene);
    const Result digests = hash(kit.source, SCENE_SLICE).value_or_throw();
    const Result created = kit.client.create(0, "remote", digests.etag(), kit.content.size()).value_or_throw();
    CHECK(!created.is_reused() && created.slice_size() == SCENE_SLICE);
    for (std::size_t i = 0; i < digests.slice_count(); i++) {
        const std::size_t offset = i * SCENE_SLICE, len = std::min<std::size_t>(SCENE_SLICE, kit.content.size() - offset);
        const Bytes bytes(kit.content.data() + offset, len);
        const auto number = static_cast<std::uint32_t>(i + 1);
        kit.client.slice(created.server(), created.preupload_id(), number, bytes, digests.slice_md5(i)).value_or_throw();
    }
    bool completed = false;
    for (int tries = 0; !completed && tries < 100; tries++) {
        const Result done = kit.client.complete(created.preupload_id()).value_or_throw();
        completed = done.is_completed() && done.file_id() > 0;
    }
    CHECK(completed);
    kit.is_right(scene);
}

int main(int argc, char **argv)
{
    const char hang_all[] = R"({"faults":[{"on":"slice","do":"hang"}]})";
    const char hang_from_4[] = R"({"faults":[{"on":"slice","slice_no":"4..","do":"hang"}]})";
    const char trouble[] = R"({"faults":[{"on":"slice","slice_no":2,"attempt":"1..2","do":{"status":{"status":500}}},)"
                           R"({"on":"upload_complete","attempt":1,"do":"pending"}]})";
    const scenario scenarios[] = {
        {"upload", guarded<upload>, nullptr},
        {"reuse", guarded<reuse>, nullptr},
        {"retry", guarded<retry>, trouble},
        {"cancel", guarded<cancel>, hang_all},
        {"resume", guarded<resume>, hang_from_4},
        {"bad-token", guarded<bad_token>, nullptr},
        {"bad-name", guarded<bad_name>, nullptr},
        {"missing-file", guarded<missing_file>, nullptr},
        {"own-source", guarded<own_source>, nullptr},
        {"own-transport", guarded<own_transport>, nullptr},
        {"progress", guarded<progress>, nullptr},
        {"slice-by-slice", guarded<slice_by_slice>, nullptr},
    };
    return scene_run_all("cpp", scenarios, std::size(scenarios), argc, argv);
}
