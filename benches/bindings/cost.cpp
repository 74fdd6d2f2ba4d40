// What an upload from the program's own byte source, and small calls, cost in C++: cost upload BYTES | slices COUNT |
// hash COUNT. `cargo xtask bench bindings` runs it.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <pan123.hpp>

using namespace pan123;

constexpr std::size_t BLOCK_BYTES = std::size_t{64} << 20, SLICE_BYTES = 4096, HASH_BYTES = 1024;

using Content = std::vector<std::uint8_t>;

// As many bytes as are wanted, from a block of them over and over.
class Block : public ByteSource {
public:
    explicit Block(const Content &block) : block_(block) {}
    Expected<std::size_t> read_at(std::uint64_t offset, Buffer into) override
    {
        for (std::size_t done = 0; done < into.size();) {
            const std::size_t from = static_cast<std::size_t>(offset + done) % block_.size();
            const std::size_t n = std::min(into.size() - done, block_.size() - from);
            std::copy_n(block_.data() + from, n, into.data() + done);
            done += n;
        }
        return into.size();
    }

private:
    const Content &block_;
};

// Takes the time, and what of it the CPU spent on this process.
class Watch {
public:
    void stop() const
    {
        std::printf("{\"wall_s\":%.9f,\"cpu_s\":%.9f}\n", seconds(CLOCK_MONOTONIC) - wall_,
                    seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_);
    }

private:
    static double seconds(clockid_t clock)
    {
        timespec t;
        clock_gettime(clock, &t);
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
    }
    double wall_ = seconds(CLOCK_MONOTONIC), cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
};

static Client make_client()
{
    ClientOptions options;
    options.base_url(std::getenv("PAN123_BASE_URL")).access_token(std::getenv("PAN123_ACCESS_TOKEN"));
    return Client::make(options.slices_in_flight(8)).value_or_throw();
}

static void upload(const Content &block, std::uint64_t size)
{
    const Client client = make_client();
    const Watch watch;
    const Source source = Source::make(std::make_shared<Block>(block), size).value_or_throw();
    (void)client.upload(source, 0, "cost").value_or_throw().run().value_or_throw();
    watch.stop();
    client.shutdown(Running::is_cancelled).value_or_throw();
}

static void slices(const Content &block, std::uint32_t count)
{
    const Client client = make_client();
    const Result made =
        client.create(0, "cost", "0123456789abcdef0123456789abcdef", count * SLICE_BYTES).value_or_throw();
    const Watch watch;
    for (std::uint32_t i = 0; i < count; i++)
        client.slice(made.server(), made.preupload_id(), i + 1, Bytes(&block[i * SLICE_BYTES], SLICE_BYTES)).value_or_throw();
    watch.stop();
}

static void hashes(const Content &block, std::size_t count)
{
    const Watch watch;
    for (std::size_t i = 0; i < count; i++) {
        const Bytes bytes(&block[i * HASH_BYTES % (BLOCK_BYTES - HASH_BYTES)], HASH_BYTES);
        const Result result = hash(Source::from_memory(bytes, nullptr).value_or_throw()).value_or_throw();
        if (result.etag().size() != 32) std::exit(1);
    }
    watch.stop();
}

int main(int argc, char **argv) try {
    if (argc != 3) return 2;
    const std::string_view what = argv[1];
    const std::uint64_t count = std::stoull(argv[2]);
    Content block(BLOCK_BYTES);
    std::uint64_t state = 1;
    for (std::uint8_t &byte : block) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        byte = static_cast<std::uint8_t>(state >> 56);
    }
    if (what == "upload") upload(block, count);
    else if (what == "slices") slices(block, static_cast<std::uint32_t>(count));
    else if (what == "hash") hashes(block, static_cast<std::size_t>(count));
    else return 2;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
