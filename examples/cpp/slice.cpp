// Sends one slice: slice SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]
//
// SERVER and PREUPLOAD_ID are from `create`. Without OFFSET and LENGTH the slice is the whole of FILE.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <pan123.hpp>

int main(int argc, char **argv) try {
    if (argc != 5 && argc != 7) return 2;
    std::ifstream file(argv[4], std::ios::binary | std::ios::ate);
    const long long offset = argc == 7 ? std::stoll(argv[5]) : 0, length = argc == 7 ? std::stoll(argv[6]) : static_cast<long long>(file.tellg());
    std::string bytes(length < 0 ? 0 : static_cast<std::size_t>(length), '\0');
    if (length < 0 || !file.seekg(offset).read(bytes.data(), length)) {
        std::fprintf(stderr, "%s has no %lld bytes at %lld\n", argv[4], length, offset);
        return 1;
    }
    pan123::ClientOptions options;
    options.access_token(std::getenv("PAN123_ACCESS_TOKEN"));
    const auto client = pan123::Client::make(options).value_or_throw();
    // The library computes the MD5 that goes with the slice.
    client.slice(argv[1], argv[2], static_cast<std::uint32_t>(std::stoul(argv[3])), bytes).value_or_throw();
    std::printf("slice %s ok\n", argv[3]);
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
