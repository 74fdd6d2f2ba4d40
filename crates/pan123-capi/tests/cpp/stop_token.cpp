// C++20: calls that wait end when a std::stop_token asks for it.
#include "test.hpp"

#include <span>
#include <stop_token>

using namespace pan123;

static Gate gate;

class Stuck : public ByteSource {
public:
    Expected<std::size_t> read_at(std::uint64_t, Buffer into) override
    {
        gate.pass();
        return into.size();
    }
};

int main()
{
    const Client client = GOOD(Client::make(emulator()));
    std::stop_source asked;
    asked.request_stop();
    BAD(cancelled, "", client.token(asked.get_token()));
    Result token = GOOD(client.token(std::stop_token()));
    CHECK(token.token() == env("PAN123_ACCESS_TOKEN"));
    std::stop_source unasked;
    token = GOOD(client.token(unasked.get_token()));
    CHECK(token.token() == env("PAN123_ACCESS_TOKEN"));

    const Source stuck = GOOD(Source::make(std::make_shared<Stuck>(), 1000));
    const Upload upload = GOOD(client.upload(stuck, 0, "stuck"));
    std::stop_source stop;
    {
        const std::jthread other([&] {
            gate.reached();
            stop.request_stop();
        });
        BAD(cancelled, "", upload.run(stop.get_token()));
    }
    gate.open();
    const Upload late = GOOD(client.upload(stuck, 0, "late"));
    BAD(cancelled, "", late.run(stop.get_token()));

    const std::vector<std::byte> bytes(3);
    CHECK(Bytes(std::span(bytes)).size() == 3);
    GOOD(client.shutdown(Running::is_cancelled));
    std::puts("ok");
}
