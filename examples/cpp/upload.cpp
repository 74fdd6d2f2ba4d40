// Uploads a file: upload FILE NAME
//
// The account is in PAN123_ACCESS_TOKEN; PAN123_BASE_URL names another service, for example an emulator's.
#include <cstdio>
#include <cstdlib>
#include <pan123.hpp>

int main(int argc, char **argv) try {
    if (argc != 3) return 2;
    pan123::ClientOptions options;
    options.access_token(std::getenv("PAN123_ACCESS_TOKEN"));
    if (const char *url = std::getenv("PAN123_BASE_URL")) options.base_url(url);
    auto client = pan123::Client::make(options).value_or_throw();
    auto source = pan123::Source::from_path(argv[1]).value_or_throw();
    auto result = client.upload(source, 0, argv[2]).value_or_throw().run().value_or_throw();
    std::printf("file id %lld, etag %s\n", static_cast<long long>(result.file_id()), result.etag().data());
} catch (const pan123::Exception &error) {
    std::fprintf(stderr, "%s: %s\n", error.code().message().c_str(), error.what());
    return 1;
}
