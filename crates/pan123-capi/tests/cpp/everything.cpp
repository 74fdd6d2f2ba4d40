// Everything that pan123.hpp offers around the library's own objects.
#include "test.hpp"

using namespace pan123;

static void errors()
{
    Error made(errc::rate_limited, "slower, please");
    CHECK(made == errc::rate_limited && made != errc::login && made == Band::service_refused && made != Band::network);
    CHECK(made.message() == "slower, please" && made.integer(PAN123_F_CODE) == PAN123_E_RATE_LIMITED);
    CHECK(!made.http_status() && !made.integer(99999) && made.text(99999).empty());
    const std::error_code code = made;
    CHECK(code == errc::rate_limited && code == Band::service_refused && code != Band::network);
    CHECK(code.message() == "PAN123_E_RATE_LIMITED" && std::string(code.category().name()) == "pan123");
    CHECK(std::error_code(errc::cancelled) == std::errc::operation_canceled);
    CHECK(std::error_code(errc::net_timeout) == std::errc::timed_out);
    CHECK(std::error_code(errc::invalid_argument) == Band::misuse && std::error_code(errc::panic) == Band::defect);
    CHECK(std::error_code(errc::ok) != Band::misuse && !std::error_code(errc::ok));
    CHECK(band_of(299) == Band::network); // A code that is newer than this program.
    Error moved = std::move(made);
    CHECK(moved.message() == "slower, please");
    CHECK(Error(errc::ok, "what?") == errc::callback);
    const Error bare(PAN123_E_TLS, nullptr);
    CHECK(bare.message() == "PAN123_E_TLS" && bare.attempts() == 0);

    // What is no text is an error, and what is wrong with options comes out where they are used.
    BAD(invalid_argument, "path", Source::from_path(nullptr));
    BAD(source_io, "no such file", Source::from_path("/nonexistent"));
    BAD(source_io, "no such file", Source::from_path("\xff"));
    ClientOptions options;
    options.access_token(nullptr).slices_in_flight(1000);
    BAD(invalid_argument, "access_token", Client::make(options));
    ClientOptions unknown;
    unknown.set(1999, "x");
    BAD(unknown_number, "1999", Client::make(unknown));
    ClientOptions plugin;
    plugin.plugin("/nonexistent.so");
    BAD(plugin, "/nonexistent.so", Client::make(plugin));
    BAD(invalid_argument, "access token", Client::make(ClientOptions()));
    BAD(invalid_argument, "null", Source::make(nullptr, 1));
    BAD(invalid_argument, "null", Tokens::make(nullptr));
    BAD(invalid_argument, "NULL", Client().token());
    BAD(invalid_argument, "NULL", Upload().wait());
#if PAN123_HAS_EXCEPTIONS
    try {
        (void)Source::from_path("/nonexistent").value_or_throw();
        CHECK(false);
    } catch (const std::system_error &thrown) {
        CHECK(thrown.code() == errc::source_io && std::string(thrown.what()).find("no such file") != std::string::npos);
        const auto *ours = dynamic_cast<const Exception *>(&thrown);
        CHECK(ours && ours->error() == errc::source_io && !ours->error().advice().empty());
        const Exception copy = *ours;
        CHECK(std::string(copy.what()) == thrown.what());
    }
#endif
}

static void handles()
{
    static_assert(sizeof(Client) == sizeof(void *) && !std::is_copy_constructible_v<Source>);
    static_assert(std::is_same_v<Queue::c_type, pan123_queue>);
    Source a = GOOD(Source::from_memory(std::string("abc")));
    Source b = std::move(a);
    CHECK(!a && b);
    a = std::move(b);
    CHECK(a && !b);
    Source &same = a;
    a = std::move(same);
    CHECK(a);
    a.reset();
    a.reset();
    const std::vector<unsigned char> vector = {1, 2, 3};
    const std::byte bytes[2] = {};
    CHECK(Bytes(vector).size() == 3 && Bytes(std::string_view("ab")).text() == "ab" && Bytes(bytes, 2).size() == 2);
    CHECK(Bytes().empty() && Bytes(vector)[2] == 3);
}

static void hashes()
{
    const Source abc = GOOD(Source::from_memory(std::string("abc")));
    const Source empty = GOOD(Source::from_memory(std::vector<std::uint8_t>()));
    const Result result = GOOD(hash(abc, 2, Sha1::yes));
    CHECK(result.etag() == "900150983cd24fb0d6963f7d28e17f72" && result.slice_count() == 2 && result.size() == 3);
    CHECK(result.sha1() == "a9993e364706816aba3e25717850c26c9cd0d89d" && result.slice_size() == 2);
    CHECK(result.slice_md5(1) == "4a8a08f09d37b73795649038408b5f33" && result.slice_md5(2).empty());
    CHECK(!result.integer(PAN123_F_FILE_ID) && result.json().find("900150983cd24fb0") != std::string_view::npos);
    std::vector<Result> results;
    GOOD(hash({&abc, &empty}, results));
    CHECK(results.size() == 2 && results[1].etag() == "d41d8cd98f00b204e9800998ecf8427e");
    BAD(invalid_argument, "NULL", hash({&abc, nullptr}, results));
    const Stop stop = GOOD(Stop::make());
    stop.fire();
    BAD(cancelled, "", hash(abc, 0, Sha1::no, stop));
    // Bytes that are somebody else's are kept alive until the source is gone.
    auto keeper = std::make_shared<std::string>("abc");
    const std::weak_ptr<std::string> watch = keeper;
    Source shared = GOOD(Source::from_memory(Bytes(*keeper), keeper));
    keeper.reset();
    CHECK(!watch.expired() && GOOD(hash(shared)).size() == 3);
    shared.reset();
    CHECK(comes([&] { return watch.expired(); }));
}

static void service(const Client &client)
{
    const Result token = GOOD(client.token());
    CHECK(token.token() == env("PAN123_ACCESS_TOKEN") && !token.expires());
    const Result domain = GOOD(client.domain());
    CHECK(domain.server_count() > 0 && domain.server(0).substr(0, 7) == "http://");

    const std::string bytes = make_bytes(20000000, 11);
    const Source source = GOOD(Source::from_memory(bytes));
    const Result digests = GOOD(hash(source));
    UploadOptions options;
    options.duplicate(Duplicate::keep_both);
    const Result created = GOOD(client.create(0, "by hand", std::string(digests.etag()), bytes.size(), options));
    CHECK(!created.is_reused() && created.slice_size() == 1 << 24 && digests.slice_count() == 2);
    const std::size_t first = static_cast<std::size_t>(created.slice_size());
    GOOD(client.slice(created.server(), created.preupload_id(), 1, Bytes(bytes.data(), first), digests.slice_md5(0)));
    GOOD(client.slice_from(created.server(), created.preupload_id(), 2, source, first, bytes.size() - first));
    std::int64_t file_id = 0;
    CHECK(comes([&] {
        const Result completed = GOOD(client.complete(created.preupload_id()));
        file_id = completed.file_id();
        return completed.is_completed();
    }));
    CHECK(file_id > 0);

    const Source small = GOOD(Source::from_memory(std::string("in one request")));
    const Result etag = GOOD(hash(small));
    CHECK(GOOD(client.single(domain.server(), 0, "single", etag.etag(), small)).is_completed());
    UploadOptions wrong;
    wrong.set(PAN123_OPT_DUPLICATE, 7u);
    BAD(invalid_argument, "duplicate", client.create(0, "x", etag.etag(), 14, wrong));
    // The service's own words, and what is known beside them.
    const auto refused = client.create(424242, "nowhere", digests.etag(), bytes.size());
    CHECK(!refused && refused.error() == Band::service_refused && refused.error().api_code().has_value());
    CHECK(!refused.error().trace_id().empty() && refused.error().step() == "create");
}

static void uploads(const Client &client, const Queue &queue)
{
    const Source source = GOOD(Source::from_memory(make_bytes(40000000, 12)));
    const Upload upload = GOOD(client.upload(source, 0, "managed", UploadOptions(), 77));
    BAD(wrong_state, "", upload.wait());
    const Upload second = upload.share();
    const Result result = GOOD(second.run());
    CHECK(result.file_id() > 0 && result.size() == 40000000 && result.bytes_sent() >= 40000000 && !result.is_reused());
    BAD(wrong_state, "", upload.start());
    const Progress progress = GOOD(upload.progress());
    CHECK(progress.stage == Stage::done && progress.slices_done == 3 && progress.bytes_confirmed == 40000000);
    CHECK(GOOD(queue.os_handle()) > 2);
    std::uint64_t seq = 0, slices = 0;
    for (;;) {
        const Event event = GOOD(queue.next(std::chrono::seconds(60)));
        CHECK(event.user == 77 && event.seq > seq);
        seq = event.seq;
        if (event.kind == EventKind::slice) slices++;
        if (event.is_last()) {
            CHECK(event.kind == EventKind::completed && event.value == result.file_id());
            break;
        }
    }
    CHECK(slices == 3);
    BAD(timeout, "", queue.next(std::chrono::milliseconds(0)));
    BAD(name, "", client.upload(source, 0, "a/b?"));

    // Cancelled before it starts, it does not start.
    const Upload cancelled = GOOD(client.upload(source, 0, "cancelled"));
    cancelled.cancel();
    BAD(cancelled, "", cancelled.start());
    BAD(wrong_state, "", cancelled.export_state());
    BAD(invalid_argument, "", client.import_upload(source, Bytes(std::string_view("nonsense"))));
}

int main()
{
    errors();
    handles();
    hashes();
    const Queue queue = GOOD(Queue::pull());
    Parts parts;
    parts.queue = &queue;
    const Client client = GOOD(Client::make(emulator().user_agent("everything"), parts));
    const Client again = client.share();
    CHECK(again.get() == client.get() || again);
    service(client);
    uploads(client, queue);
    GOOD(client.shutdown(Running::is_cancelled));
    BAD(shutdown, "", again.token());
    CHECK(!version().empty() && build_info().front() == '{');
    bool found = false;
    for (const auto &[name, value] : constants()) found |= name == "PAN123_F_ETAG" && value == PAN123_F_ETAG;
    CHECK(found);
    std::puts("ok");
}
