// What the test programs in C++ share. Each prints "ok" at its end; a check that fails says where and what.
#ifndef TEST_HPP
#define TEST_HPP
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <pan123.hpp>
#include <string>
#include <thread>

#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                      \
            std::exit(1);                                                                                     \
        }                                                                                                     \
    } while (0)

// The value of an Expected; its error is shown.
template <class T> T good(pan123::Expected<T> expected, int line)
{
    if (!expected) {
        std::fprintf(stderr, "line %d: %s\n", line, std::string(expected.error().message()).c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*expected);
}
#define GOOD(...) good(__VA_ARGS__, __LINE__)

// An Expected that failed with this code and, somewhere in its message, these words.
template <class T> void bad(const pan123::Expected<T> &expected, pan123::errc code, std::string_view words, int line)
{
    if (!expected && expected.error() == code && expected.error().message().find(words) != std::string_view::npos) return;
    std::fprintf(stderr, "line %d: %s, not %s with \"%s\"\n", line,
                 expected ? "good" : std::string(expected.error().message()).c_str(),
                 pan123_status_name(static_cast<pan123_status>(code)), std::string(words).c_str());
    std::exit(1);
}
#define BAD(code, words, ...) bad(__VA_ARGS__, pan123::errc::code, words, __LINE__)

inline std::string env(const char *name)
{
    const char *value = std::getenv(name);
    CHECK(value);
    return value;
}

// Options for the emulator that the tests run against.
inline pan123::ClientOptions emulator()
{
    pan123::ClientOptions options;
    options.base_url(env("PAN123_BASE_URL")).access_token(env("PAN123_ACCESS_TOKEN"));
    return options;
}

// Bytes that look random and are the same for the same seed.
inline std::string make_bytes(std::size_t len, std::uint64_t seed)
{
    std::string bytes(len, '\0');
    for (char &byte : bytes) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        byte = static_cast<char>(seed >> 56);
    }
    return bytes;
}

// Waits for a condition that somebody else brings about; never for ever.
template <class Condition> bool comes(Condition condition)
{
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::yield();
    }
    return true;
}

// A gate that callbacks wait at until it is opened.
class Gate {
public:
    void pass()
    {
        std::unique_lock lock(lock_);
        waiting_++;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void open()
    {
        const std::lock_guard lock(lock_);
        open_ = true;
        changed_.notify_all();
    }
    // Waits until somebody waits.
    void reached()
    {
        std::unique_lock lock(lock_);
        CHECK(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return waiting_ > 0; }));
    }

private:
    std::mutex lock_;
    std::condition_variable changed_;
    bool open_ = false;
    int waiting_ = 0;
};
#endif
