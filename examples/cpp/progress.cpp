// Uploads a file and shows a progress bar: progress FILE NAME
//
// The library calls on_event on a thread of its own; the main thread just waits for the outcome.
#include <cstdio>
#include <cstdlib>
#include <pan123.hpp>

class Bar : public pan123::Observer {
public:
    void on_event(const pan123::Event &event) override
    {
        using pan123::EventKind;
        const int percent = event.bytes_total ? static_cast<int>(event.bytes_done * 100 / event.bytes_total) : 0;
        switch (event.kind) {
        case EventKind::progress:
        case EventKind::slice:
            draw(percent);
            break;
        case EventKind::retry:
            std::printf("\ntrying again: %s\n", std::string(event.text).c_str());
            break;
        case EventKind::completed:
            draw(100); // Also where the service had the content already and nothing was sent.
            std::printf("\ndone, file id %lld\n", static_cast<long long>(event.value));
            break;
        default: // Other kinds, and those that later versions add.
            break;
        }
        std::fflush(stdout);
    }

private:
    static void draw(int percent)
    {
        std::printf("\r[%-50s] %3d %%", std::string(static_cast<std::size_t>(percent / 2), '#').c_str(), percent);
    }
};

int main(int argc, char **argv) try {
    if (argc != 3) return 2;
    pan123::ClientOptions options;
    options.access_token(std::getenv("PAN123_ACCESS_TOKEN")).progress_every(std::chrono::milliseconds(50));
    if (const char *url = std::getenv("PAN123_BASE_URL")) options.base_url(url);
    auto queue = pan123::Queue::push(std::make_shared<Bar>()).value_or_throw();
    pan123::Parts parts;
    parts.queue = &queue;
    auto client = pan123::Client::make(options, parts).value_or_throw();
    auto source = pan123::Source::from_path(argv[1]).value_or_throw();
    auto result = client.upload(source, 0, argv[2]).value_or_throw().run().value_or_throw();
    // Waits until every event was told, which the process would not do by ending.
    client.shutdown(pan123::Running::finishes).value_or_throw();
} catch (const pan123::Exception &error) {
    std::fprintf(stderr, "\n%s\n%s\n", error.what(), std::string(error.error().advice()).c_str());
    return 1;
}
