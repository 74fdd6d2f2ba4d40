// Uploads something that is no file: source SIZE NAME
//
// The bytes are those of a counter and are never all in memory. What you have instead may be an archive's member, an
// encrypted store or an app's sandbox: anything that can be read at an offset, as the same bytes each time.
//
// This one is built with -fno-exceptions and -fno-rtti as well: an Expected is asked before it is used.
#include <cstdio>
#include <cstdlib>
#include <pan123.hpp>

class Counter : public pan123::ByteSource {
public:
    explicit Counter(std::uint64_t step) : step_(step) {}

    // Comes on threads of the library, several at once, and may block.
    pan123::Expected<std::size_t> read_at(std::uint64_t offset, pan123::Buffer into) override
    {
        if (step_ == 0) return pan123::Error(pan123::errc::source_io, "the counter stands still");
        for (std::size_t i = 0; i < into.size(); i++) {
            const std::uint64_t at = offset + i;
            into.data()[i] = static_cast<std::uint8_t>((at / 8 * step_) >> (at % 8 * 8));
        }
        return into.size();
    }

private:
    std::uint64_t step_;
};

static int fail(const pan123::Error &error)
{
    std::fprintf(stderr, "%s\n", std::string(error.message()).c_str());
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    const std::uint64_t size = std::strtoull(argv[1], nullptr, 10);
    pan123::ClientOptions options;
    options.access_token(std::getenv("PAN123_ACCESS_TOKEN"));
    if (const char *url = std::getenv("PAN123_BASE_URL")) options.base_url(url);
    auto client = pan123::Client::make(options);
    if (!client) return fail(client.error());
    auto source = pan123::Source::make(std::make_shared<Counter>(0x9e3779b97f4a7c15u), size);
    if (!source) return fail(source.error());
    auto upload = client->upload(*source, 0, argv[2]);
    if (!upload) return fail(upload.error());
    auto result = upload->run();
    if (!result) return fail(result.error());
    std::printf("file id %lld, etag %s\n", static_cast<long long>(result->file_id()), result->etag().data());
    return 0;
}
