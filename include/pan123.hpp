/// @file pan123.hpp
/// C++17 for libpan123: ownership and idiom over pan123.h, and nothing else. Header only; link with libpan123.
///
/// pan123.h is the manual: what a call does, waits for and fails with stands there, under the name it has here with
/// `pan123_` before it. This file says only what C++ makes of it.
///
///     #include <cstdio>
///     #include <pan123.hpp>
///
///     int main(int argc, char **argv) try {
///         if (argc != 3) return 2;
///         pan123::ClientOptions options;
///         options.access_token(std::getenv("PAN123_ACCESS_TOKEN"));
///         auto client = pan123::Client::make(options).value_or_throw();
///         auto source = pan123::Source::from_path(argv[1]).value_or_throw();
///         auto upload = client.upload(source, 0, argv[2]).value_or_throw();
///         std::printf("file id %lld\n", static_cast<long long>(upload.run().value_or_throw().file_id()));
///     } catch (const std::exception &error) {
///         std::fprintf(stderr, "%s\n", error.what());
///         return 1;
///     }
///
/// Rules that hold everywhere
///
/// Errors      What can fail returns an Expected<T>: a value or an Error. `value_or_throw()` makes an Exception of the
///             error where the compiler has exceptions; everything else here works without them, and without RTTI.
/// Ownership   Handles own one reference, move, and do not copy. Destroying one never blocks and never cancels, and the
///             order does not matter.
/// Views       `std::string_view` and Bytes that come out live as long as the object they were asked of, which
///             therefore has to have a name.
/// Your code   Derive from ByteSource, HttpLayer, TokenProvider, ResumeStore or Observer. The library shares ownership
///             of your object until its last call has returned, so that it may be dropped at any time. An exception
///             that leaves it becomes the code PAN123_E_CALLBACK and its text (PAN123_E_STORE, if ResumeStore::load threw
///             it); an Error that is returned or thrown keeps its own code, as pan123_vtable says.
/// Stopping    Calls that wait take a `const Until &`: nothing, a Stop, or in C++20 a `std::stop_token`.
#ifndef PAN123_HPP
#define PAN123_HPP

#include <pan123.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define PAN123_HAS_EXCEPTIONS 1
#else
#define PAN123_HAS_EXCEPTIONS 0
#endif
#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

// A plugin calls the library through the table that it is handed, and needs no link to it: define PAN123_PLUGIN before
// this file is included. See Plugins at the end.
#ifdef PAN123_PLUGIN
#define PAN123_CALL(function) ::pan123::detail::host->function
#else
#define PAN123_CALL(function) ::pan123_##function
#endif

namespace pan123 {

namespace detail {
#ifdef PAN123_PLUGIN
#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
inline const pan123_host *host = nullptr;
#endif

inline const char *status_name(pan123_status code)
{
#ifdef PAN123_PLUGIN
    (void)code;
    return "a pan123 status";
#else
    return pan123_status_name(code);
#endif
}
} // namespace detail

// ---- Views ----

/// Text that goes in: UTF-8. NULL becomes an error with its place, rather than a crash.
class Text {
public:
    Text(const char *nul_terminated) noexcept : data_(nul_terminated), size_(PAN123_NUL) {}
    Text(std::string_view text) noexcept : data_(text.empty() ? "" : text.data()), size_(text.size()) {}
    Text(const std::string &text) noexcept : Text(std::string_view(text)) {}

    const char *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    const char *data_;
    std::size_t size_;
};

/// Bytes of somebody else's, to read. Made from anything contiguous: string, vector, array, span.
class Bytes {
public:
    constexpr Bytes() noexcept = default;
    Bytes(const void *data, std::size_t size) noexcept : data_(static_cast<const std::uint8_t *>(data)), size_(size) {}
    template <class Range, class = std::enable_if_t<std::is_class_v<Range>>,
              class Element = std::remove_pointer_t<decltype(std::data(std::declval<const Range &>()))>,
              class = std::enable_if_t<sizeof(Element) == 1 && std::is_trivially_copyable_v<Element>>>
    Bytes(const Range &range) noexcept : Bytes(std::data(range), std::size(range))
    {
    }

    const std::uint8_t *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const std::uint8_t *begin() const noexcept { return data_; }
    const std::uint8_t *end() const noexcept { return data_ + size_; }
    std::uint8_t operator[](std::size_t index) const noexcept { return data_[index]; }
    /// The same bytes, as text.
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }

private:
    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

/// Room for bytes, to be written.
class Buffer {
public:
    Buffer(void *data, std::size_t size) noexcept : data_(static_cast<std::uint8_t *>(data)), size_(size) {}
    template <class Range, class = std::enable_if_t<std::is_class_v<Range>>,
              class Element = std::remove_pointer_t<decltype(std::data(std::declval<Range &>()))>,
              class = std::enable_if_t<sizeof(Element) == 1 && !std::is_const_v<Element>>>
    Buffer(Range &range) noexcept : Buffer(std::data(range), std::size(range))
    {
    }

    std::uint8_t *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::uint8_t *begin() const noexcept { return data_; }
    std::uint8_t *end() const noexcept { return data_ + size_; }

private:
    std::uint8_t *data_;
    std::size_t size_;
};

namespace detail {
template <class Range> struct IsArray : std::false_type {};
template <class Element, std::size_t size> struct IsArray<std::array<Element, size>> : std::true_type {};
/// Whether a Range keeps its bytes itself. What has nothing to destroy refers to bytes of somebody else's.
template <class Range> inline constexpr bool owns = !std::is_trivially_destructible_v<Range> || IsArray<Range>::value;
} // namespace detail

// ---- Errors ----

/// The codes, PAN123_E_. `ec == errc::rate_limited` asks a `std::error_code`.
enum class errc : pan123_status {
    ok = PAN123_OK,
    invalid_argument = PAN123_E_INVALID_ARGUMENT,
    abi = PAN123_E_ABI,
    unknown_number = PAN123_E_UNKNOWN_NUMBER,
    wrong_state = PAN123_E_WRONG_STATE,
    would_deadlock = PAN123_E_WOULD_DEADLOCK,
    forked = PAN123_E_FORKED,
    not_supported = PAN123_E_NOT_SUPPORTED,
    timeout = PAN123_E_TIMEOUT,
    cancelled = PAN123_E_CANCELLED,
    paused = PAN123_E_PAUSED,
    shutdown = PAN123_E_SHUTDOWN,
    callback = PAN123_E_CALLBACK,
    plugin = PAN123_E_PLUGIN,
    source_io = PAN123_E_SOURCE_IO,
    source_changed = PAN123_E_SOURCE_CHANGED,
    source_stalled = PAN123_E_SOURCE_STALLED,
    store = PAN123_E_STORE,
    network = PAN123_E_NETWORK,
    tls = PAN123_E_TLS,
    net_timeout = PAN123_E_NET_TIMEOUT,
    slow_uplink = PAN123_E_SLOW_UPLINK,
    server = PAN123_E_SERVER,
    protocol = PAN123_E_PROTOCOL,
    login = PAN123_E_LOGIN,
    rate_limited = PAN123_E_RATE_LIMITED,
    name = PAN123_E_NAME,
    verify_failed = PAN123_E_VERIFY_FAILED,
    refused = PAN123_E_REFUSED,
    internal = PAN123_E_INTERNAL,
    panic = PAN123_E_PANIC
};

/// The bands of codes, which say what to make of a code that is newer than the program: `ec == Band::network`.
enum class Band { misuse = 1, stopped = 20, host_code = 30, this_machine = 100, network = 200, service_failed = 300,
                  service_refused = 400, defect = 900 };

/// The band of a code that is not PAN123_OK, which is in none.
inline Band band_of(pan123_status code) noexcept
{
    for (Band band : {Band::defect, Band::service_refused, Band::service_failed, Band::network, Band::this_machine,
                      Band::host_code, Band::stopped})
        if (code >= static_cast<pan123_status>(band)) return band;
    return Band::misuse;
}

namespace detail {
class BandCategory final : public std::error_category {
public:
    const char *name() const noexcept override { return "pan123 band"; }
    std::string message(int band) const override
    {
        switch (static_cast<Band>(band)) {
        case Band::misuse: return "misuse of the library";
        case Band::stopped: return "stopped as asked";
        case Band::host_code: return "failure of a callback or plugin";
        case Band::this_machine: return "failure on this machine";
        case Band::network: return "failure of the network";
        case Band::service_failed: return "failure of the service";
        case Band::service_refused: return "refusal by the service";
        case Band::defect: return "defect of the library";
        }
        return "unknown";
    }
};
} // namespace detail

/// Category of Band.
inline const std::error_category &band_category() noexcept
{
    static const detail::BandCategory category;
    return category;
}

inline std::error_condition make_error_condition(Band band) noexcept { return {static_cast<int>(band), band_category()}; }

namespace detail {
class Category final : public std::error_category {
public:
    const char *name() const noexcept override { return "pan123"; }
    std::string message(int code) const override { return status_name(code); }
    std::error_condition default_error_condition(int code) const noexcept override
    {
        switch (static_cast<errc>(code)) {
        case errc::invalid_argument: return std::errc::invalid_argument;
        case errc::would_deadlock: return std::errc::resource_deadlock_would_occur;
        case errc::not_supported: return std::errc::not_supported;
        case errc::timeout:
        case errc::net_timeout: return std::errc::timed_out;
        case errc::cancelled: return std::errc::operation_canceled;
        case errc::source_io: return std::errc::io_error;
        case errc::protocol: return std::errc::protocol_error;
        case errc::login: return std::errc::permission_denied;
        default: return {code, *this};
        }
    }
    bool equivalent(int code, const std::error_condition &condition) const noexcept override
    {
        if (condition.category() == band_category())
            return code != PAN123_OK && static_cast<int>(band_of(code)) == condition.value();
        return default_error_condition(code) == condition;
    }
};
} // namespace detail

/// Category of errc.
inline const std::error_category &category() noexcept
{
    static const detail::Category category;
    return category;
}

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), category()}; }

/// Why a call failed. Never empty: `code()` is not `errc::ok`.
class [[nodiscard]] Error {
public:
    /// An error of your own, for callbacks.
    Error(errc code, Text message) noexcept
        : code_(code == errc::ok ? PAN123_E_CALLBACK : static_cast<pan123_status>(code)),
          error_(PAN123_CALL(error_new)(code_, message.data(), message.size()))
    {
    }
    /// Takes over what a C function left; `error` may be NULL.
    Error(pan123_status code, pan123_error *error) noexcept : code_(code), error_(error) {}
    Error(Error &&other) noexcept : code_(other.code_), error_(std::exchange(other.error_, nullptr)) {}
    Error &operator=(Error &&other) noexcept
    {
        std::swap(code_, other.code_);
        std::swap(error_, other.error_);
        return *this;
    }
    ~Error() { if (error_) PAN123_CALL(error_free)(error_); }

    errc code() const noexcept { return static_cast<errc>(code_); }
    operator std::error_code() const noexcept { return {static_cast<int>(code_), category()}; }
    friend bool operator==(const Error &error, errc code) noexcept { return error.code() == code; }
    friend bool operator!=(const Error &error, errc code) noexcept { return error.code() != code; }
    friend bool operator==(const Error &error, Band band) noexcept
    {
        return error.code_ != PAN123_OK && band_of(error.code_) == band;
    }
    friend bool operator!=(const Error &error, Band band) noexcept { return !(error == band); }

    /// PAN123_F_MESSAGE, or the code's name if there is no message.
    std::string_view message() const & noexcept
    {
        const std::string_view text = this->text(PAN123_F_MESSAGE);
        return text.empty() ? std::string_view(detail::status_name(code_)) : text;
    }
    std::string_view step() const & noexcept { return text(PAN123_F_STEP); }
    std::string_view api_message() const & noexcept { return text(PAN123_F_API_MESSAGE); }
    std::string_view trace_id() const & noexcept { return text(PAN123_F_TRACE_ID); }
    std::string_view advice() const & noexcept { return text(PAN123_F_ADVICE); }
    std::string_view failure_class() const & noexcept { return text(PAN123_F_CLASS); }
    std::string_view json() const & noexcept { return text(PAN123_F_JSON); }
    std::optional<std::int64_t> http_status() const noexcept { return integer(PAN123_F_HTTP_STATUS); }
    std::optional<std::int64_t> api_code() const noexcept { return integer(PAN123_F_API_CODE); }
    std::optional<std::int64_t> slice_no() const noexcept { return integer(PAN123_F_SLICE_NO); }
    std::int64_t attempts() const noexcept { return integer(PAN123_F_ATTEMPTS).value_or(0); }
    bool is_retryable() const noexcept { return integer(PAN123_F_RETRYABLE).value_or(0) == 1; }
    bool is_resumable() const noexcept { return integer(PAN123_F_RESUMABLE).value_or(0) == 1; }
    std::optional<std::chrono::milliseconds> retry_after() const noexcept
    {
        const auto time = integer(PAN123_F_RETRY_AFTER_MS);
        return time ? std::optional<std::chrono::milliseconds>(*time) : std::nullopt;
    }
    /// Any text field; empty if there is none.
    std::string_view text(std::uint32_t field) const & noexcept
    {
        std::size_t size = 0;
        const char *text = error_ ? PAN123_CALL(error_str)(error_, field, &size) : nullptr;
        return text ? std::string_view(text, size) : std::string_view();
    }
    /// Any integer field.
    std::optional<std::int64_t> integer(std::uint32_t field) const noexcept
    {
        // A value that is the same whatever was given for "absent" is there.
        const std::int64_t value = error_ ? PAN123_CALL(error_i64)(error_, field, 0) : 0;
        if (value == 0 && (!error_ || PAN123_CALL(error_i64)(error_, field, 1) == 1)) return std::nullopt;
        return value;
    }

    std::string_view message() const && = delete;
    std::string_view step() const && = delete;
    std::string_view api_message() const && = delete;
    std::string_view trace_id() const && = delete;
    std::string_view advice() const && = delete;
    std::string_view failure_class() const && = delete;
    std::string_view json() const && = delete;
    std::string_view text(std::uint32_t field) const && = delete;

    /// Gives the object away, as a callback does through its `err`; returns the code. NULL is fine.
    pan123_status release_to(pan123_error **err) && noexcept
    {
        if (err) *err = std::exchange(error_, nullptr);
        return code_;
    }

private:
    pan123_status code_;
    pan123_error *error_;
};

#if PAN123_HAS_EXCEPTIONS
/// An Error that was thrown.
class Exception : public std::system_error {
public:
    explicit Exception(Error error)
        : std::system_error(error), error_(std::make_shared<const Error>(std::move(error))),
          what_(std::make_shared<const std::string>(error_->message()))
    {
    }
    const Error &error() const noexcept { return *error_; }
    const char *what() const noexcept override { return what_->c_str(); }

private:
    std::shared_ptr<const Error> error_;
    std::shared_ptr<const std::string> what_;
};
#endif

namespace detail {
/// What is asked of an Expected is not there, and this is the caller's mistake.
[[noreturn]] inline void not_there() noexcept { std::abort(); }
} // namespace detail

/// A value, or why there is none. Asking for the one that is not there ends the program.
template <class T> class [[nodiscard]] Expected {
public:
    template <class U = T, class = std::enable_if_t<std::is_convertible_v<U &&, T>
                                                    && !std::is_same_v<std::decay_t<U>, Expected>
                                                    && !std::is_same_v<std::decay_t<U>, Error>>>
    Expected(U &&value) : state_(std::in_place_index<0>, std::forward<U>(value))
    {
    }
    Expected(Error error) noexcept : state_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    T &value() & noexcept { return has_value() ? *std::get_if<0>(&state_) : (detail::not_there(), *std::get_if<0>(&state_)); }
    const T &value() const & noexcept { return const_cast<Expected *>(this)->value(); }
    T value() && noexcept(std::is_nothrow_move_constructible_v<T>) { return std::move(value()); }
    T &operator*() & noexcept { return value(); }
    const T &operator*() const & noexcept { return value(); }
    T operator*() && { return std::move(value()); }
    T *operator->() & noexcept { return &value(); }
    const T *operator->() const & noexcept { return &value(); }
    /// Give it a name first: what is asked of it would be a view into what is gone.
    void operator->() && = delete;
    void operator->() const && = delete;
    Error &error() & noexcept { return has_value() ? (detail::not_there(), *std::get_if<1>(&state_)) : *std::get_if<1>(&state_); }
    const Error &error() const & noexcept { return const_cast<Expected *>(this)->error(); }
    Error error() && noexcept { return std::move(error()); }
#if PAN123_HAS_EXCEPTIONS
    /// The value; throws Exception if there is none.
    T value_or_throw() &&
    {
        if (!has_value()) throw Exception(std::move(error()));
        return std::move(value());
    }
#endif

private:
    std::variant<T, Error> state_;
};

/// Success, or why not.
template <> class [[nodiscard]] Expected<void> {
public:
    Expected() noexcept = default;
    Expected(Error error) noexcept : error_(std::move(error)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    Error &error() & noexcept { return error_ ? *error_ : (detail::not_there(), *error_); }
    const Error &error() const & noexcept { return const_cast<Expected *>(this)->error(); }
    Error error() && noexcept { return std::move(error()); }
#if PAN123_HAS_EXCEPTIONS
    /// Throws Exception on failure.
    void value_or_throw() &&
    {
        if (error_) throw Exception(std::move(*error_));
    }
#endif

private:
    std::optional<Error> error_;
};

namespace detail {
/// What became of a C function without an object to give out.
inline Expected<void> done(pan123_status status, pan123_error *error = nullptr) noexcept
{
    if (status == PAN123_OK) return {};
    return Error(status, error);
}

/// Makes a handle with a C function that has `out` and `err` last.
template <class Object, class Call> Expected<Object> make(Call &&call)
{
    typename Object::c_type *out = nullptr;
    pan123_error *error = nullptr;
    const pan123_status status = call(&out, &error);
    if (status != PAN123_OK) return Error(status, error);
    return Object(out);
}
} // namespace detail

// ---- Handles ----

/// One reference to an object of the library. Moves; does not copy.
template <class C, void (*Free)(C *)> class Handle {
public:
    using c_type = C;

    Handle() noexcept = default;
    /// Takes over a reference.
    explicit Handle(C *object) noexcept : object_(object) {}
    Handle(Handle &&other) noexcept : object_(other.release()) {}
    Handle &operator=(Handle &&other) noexcept
    {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~Handle() { reset(); }

    /// The object, for functions of pan123.h.
    C *get() const noexcept { return object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    /// Gives the reference away.
    C *release() noexcept { return std::exchange(object_, nullptr); }
    void reset(C *object = nullptr) noexcept
    {
        C *old = std::exchange(object_, object);
        if (old) Free(old);
    }

private:
    C *object_ = nullptr;
};

/// Waits without end.
inline constexpr std::chrono::milliseconds forever{-1};

/// Whether the library may call your object from several threads at once.
enum class Calls : std::uint32_t { may_overlap = 0, one_at_a_time = PAN123_VT_SERIAL };

/// Ends calls that wait, early.
class Stop : public Handle<pan123_stop, pan123_stop_free> {
public:
    using Handle::Handle;
    static Expected<Stop> make()
    {
        return detail::make<Stop>([](auto out, auto err) { return pan123_stop_new(out, err); });
    }
    void fire() const noexcept { pan123_stop_fire(get()); }
};

/// What ends a call that waits early: nothing, a Stop, or a `std::stop_token`.
class Until {
public:
    Until() noexcept {}
    Until(const Stop &stop) noexcept : stop_(stop.get()) {}
    /// It has to be there as long as the call: give it a name.
    Until(const Stop &&) = delete;
#if defined(__cpp_lib_jthread)
    Until(std::stop_token token)
    {
        if (!token.stop_possible()) return;
        auto stop = Stop::make();
        if (!stop) return;
        own_ = std::move(*stop);
        stop_ = own_.get();
        callback_.emplace(std::move(token), Fire{stop_});
    }
#endif
    Until(const Until &) = delete;
    Until &operator=(const Until &) = delete;

    pan123_stop *get() const noexcept { return stop_; }

private:
    pan123_stop *stop_ = nullptr;
#if defined(__cpp_lib_jthread)
    struct Fire {
        pan123_stop *stop;
        void operator()() const noexcept { pan123_stop_fire(stop); }
    };
    Stop own_;
    std::optional<std::stop_callback<Fire>> callback_;
#endif
};

/// What a call found out: fields, PAN123_F_.
class Result : public Handle<pan123_result, pan123_result_free> {
public:
    using Handle::Handle;

    std::int64_t file_id() const noexcept { return integer(PAN123_F_FILE_ID).value_or(0); }
    std::string_view etag() const & noexcept { return text(PAN123_F_ETAG); }
    std::string_view sha1() const & noexcept { return text(PAN123_F_SHA1); }
    /// `index` 0 is slice number 1.
    std::string_view slice_md5(std::size_t index) const & noexcept { return text(PAN123_F_SLICE_MD5, index); }
    std::uint64_t size() const noexcept { return number(PAN123_F_SIZE); }
    std::uint64_t slice_size() const noexcept { return number(PAN123_F_SLICE_SIZE); }
    std::size_t slice_count() const noexcept { return static_cast<std::size_t>(number(PAN123_F_SLICE_COUNT)); }
    std::string_view preupload_id() const & noexcept { return text(PAN123_F_PREUPLOAD_ID); }
    std::size_t server_count() const noexcept { return static_cast<std::size_t>(number(PAN123_F_SERVER_COUNT)); }
    std::string_view server(std::size_t index = 0) const & noexcept { return text(PAN123_F_SERVER, index); }
    bool is_reused() const noexcept { return number(PAN123_F_REUSED) == 1; }
    bool is_completed() const noexcept { return number(PAN123_F_COMPLETED) == 1; }
    std::uint64_t bytes_sent() const noexcept { return number(PAN123_F_BYTES_SENT); }
    std::chrono::milliseconds elapsed() const noexcept
    {
        return std::chrono::milliseconds(integer(PAN123_F_ELAPSED_MS).value_or(0));
    }
    std::string_view token() const & noexcept { return text(PAN123_F_TOKEN); }
    std::optional<std::chrono::system_clock::time_point> expires() const noexcept
    {
        const auto time = integer(PAN123_F_EXPIRES_UNIX_MS);
        if (!time) return std::nullopt;
        return std::chrono::system_clock::time_point(std::chrono::milliseconds(*time));
    }
    /// For Client::import_upload.
    Bytes state() const & noexcept { return text(PAN123_F_STATE); }
    std::string_view json() const & noexcept { return text(PAN123_F_JSON); }
    /// Any text field; empty if there is none.
    std::string_view text(std::uint32_t field, std::size_t index = 0) const & noexcept
    {
        std::size_t size = 0;
        const char *text = pan123_result_str(get(), field, index, &size);
        return text ? std::string_view(text, size) : std::string_view();
    }
    /// Any integer field.
    std::optional<std::int64_t> integer(std::uint32_t field) const noexcept
    {
        const std::int64_t value = pan123_result_i64(get(), field, 0);
        if (value == 0 && pan123_result_i64(get(), field, 1) == 1) return std::nullopt;
        return value;
    }

    std::string_view etag() const && = delete;
    std::string_view sha1() const && = delete;
    std::string_view slice_md5(std::size_t) const && = delete;
    std::string_view preupload_id() const && = delete;
    std::string_view server(std::size_t = 0) const && = delete;
    std::string_view token() const && = delete;
    Bytes state() const && = delete;
    std::string_view json() const && = delete;
    std::string_view text(std::uint32_t, std::size_t = 0) const && = delete;

private:
    std::uint64_t number(std::uint32_t field) const noexcept
    {
        return static_cast<std::uint64_t>(integer(field).value_or(0));
    }
};

// ---- What you bring ----

namespace detail {
/// Ends a callback: status and error of what it came to.
inline pan123_status end(Error error, pan123_error **err) noexcept { return std::move(error).release_to(err); }

/// Runs the inside of a callback. No exception leaves it.
template <class Inside> pan123_status guarded(pan123_error **err, Inside &&inside) noexcept
{
#if PAN123_HAS_EXCEPTIONS
    try {
#endif
        Expected<void> outcome = inside();
        return outcome ? PAN123_OK : end(std::move(outcome.error()), err);
#if PAN123_HAS_EXCEPTIONS
    } catch (const Exception &thrown) {
        return end(Error(thrown.error().code(), thrown.error().message()), err);
    } catch (const std::exception &thrown) {
        return end(Error(errc::callback, thrown.what()), err);
    } catch (...) {
        return end(Error(errc::callback, "an exception that is no std::exception"), err);
    }
#endif
}

/// Your object as a context of the library: a share of its ownership on the heap, until `release`.
template <class T> struct Shared {
    static std::uintptr_t give(std::shared_ptr<T> object)
    {
        return reinterpret_cast<std::uintptr_t>(new std::shared_ptr<T>(std::move(object)));
    }
    static T &at(std::uintptr_t ctx) noexcept { return **reinterpret_cast<std::shared_ptr<T> *>(ctx); }
    static void release(std::uintptr_t ctx) noexcept { delete reinterpret_cast<std::shared_ptr<T> *>(ctx); }
};

template <class T> pan123_vtable head(std::size_t size, Calls calls) noexcept
{
    pan123_vtable head = {};
    head.struct_size = static_cast<std::uint32_t>(size);
    head.flags = static_cast<std::uint32_t>(calls);
    head.release = Shared<T>::release;
    return head;
}
} // namespace detail

/// What tells one state of a source from another; what it does not have stays as it is.
struct Identity {
    std::uint64_t size;
    std::uint64_t inode;
    std::int64_t mtime_ns;
};

/// A source of yours.
class ByteSource {
public:
    virtual ~ByteSource() = default;
    /// Fills `into` from `offset` on, and returns how many bytes there were: fewer only at the end.
    virtual Expected<std::size_t> read_at(std::uint64_t offset, Buffer into) = 0;
    /// Says what state it is in. Unless overridden: always the same.
    virtual Expected<void> identity(Identity &) { return {}; }
};

/// One request and its answer, lent to HttpLayer::send until it returns.
class Http {
public:
    explicit Http(pan123_http *x) noexcept : x_(x) {}

    std::string_view method() const noexcept { return text(PAN123_F_METHOD); }
    std::string_view url() const noexcept { return text(PAN123_F_URL); }
    std::uint64_t body_len() const noexcept { return static_cast<std::uint64_t>(integer(PAN123_F_BODY_LEN).value_or(0)); }
    std::chrono::milliseconds timeout() const noexcept
    {
        return std::chrono::milliseconds(integer(PAN123_F_TIMEOUT_MS).value_or(0));
    }
    /// Of the answer, once there is one.
    std::optional<std::int64_t> status() const noexcept { return integer(PAN123_F_HTTP_STATUS); }
    Bytes answer_body() const noexcept { return text(PAN123_F_ANSWER_BODY); }

    struct Header {
        std::string_view name, value;
    };
    /// Header number `index` of the request, or nothing. One of them is the token.
    std::optional<Header> request_header(std::size_t index) const noexcept { return header(0, index); }
    std::optional<Header> answer_header(std::size_t index) const noexcept { return header(1, index); }
    Expected<void> set_request_header(Text name, Text value) const noexcept { return set_header(0, name, value); }
    Expected<void> set_answer_header(Text name, Text value) const noexcept { return set_header(1, name, value); }

    Expected<std::size_t> read_body(std::uint64_t offset, Buffer into) const
    {
        std::size_t got = 0;
        pan123_error *error = nullptr;
        const pan123_status status =
            PAN123_CALL(http_read_body)(x_, offset, into.data(), into.size(), &got, &error);
        if (status != PAN123_OK) return Error(status, error);
        return got;
    }
    /// Through the layer below.
    Expected<void> forward() const noexcept
    {
        pan123_error *error = nullptr;
        const pan123_status status = PAN123_CALL(http_forward)(x_, &error);
        return detail::done(status, error);
    }
    Expected<void> answer(std::int32_t status, Bytes body) const noexcept
    {
        return detail::done(PAN123_CALL(http_answer)(x_, status, body.data(), body.size()));
    }

    std::string_view text(std::uint32_t field) const noexcept
    {
        std::size_t size = 0;
        const char *text = PAN123_CALL(http_str)(x_, field, &size);
        return text ? std::string_view(text, size) : std::string_view();
    }
    std::optional<std::int64_t> integer(std::uint32_t field) const noexcept
    {
        const std::int64_t value = PAN123_CALL(http_i64)(x_, field, -1);
        return value < 0 ? std::nullopt : std::optional<std::int64_t>(value);
    }
    /// The same exchange has the same one in `send` and in `interrupt`.
    const pan123_http *get() const noexcept { return x_; }

private:
    std::optional<Header> header(std::int32_t of_answer, std::size_t index) const noexcept
    {
        const char *value = nullptr;
        const char *name = PAN123_CALL(http_header)(x_, of_answer, index, &value);
        return name ? std::optional<Header>({name, value}) : std::nullopt;
    }
    Expected<void> set_header(std::int32_t of_answer, Text name, Text value) const noexcept
    {
        return detail::done(PAN123_CALL(http_set_header)(x_, of_answer, name.data(), name.size(), value.data(), value.size()));
    }

    pan123_http *x_;
};

/// A transport of yours, over another one or, if it never forwards, instead of it.
class HttpLayer {
public:
    virtual ~HttpLayer() = default;
    /// Answers the exchange, or forwards it.
    virtual Expected<void> send(Http &exchange) = 0;
    /// The exchange `x` was given up: let its `send` return soon. `x` may be looked up, not used.
    virtual void interrupt(const pan123_http *x) noexcept { (void)x; }
};

/// A token, and when it expires, if that is known.
struct AccessToken {
    std::string text;
    std::optional<std::chrono::system_clock::time_point> expires = std::nullopt;
};

/// A token provider of yours.
class TokenProvider {
public:
    virtual ~TokenProvider() = default;
    /// `refused`: the token that the service has just turned down, if there is one.
    virtual Expected<AccessToken> get(std::optional<std::string_view> refused) = 0;
};

/// A resume store of yours.
class ResumeStore {
public:
    virtual ~ResumeStore() = default;
    /// What was saved last; empty if there is no such key.
    virtual Expected<std::string> load(std::string_view key) = 0;
    virtual Expected<void> save(std::string_view key, Bytes data) = 0;
    virtual Expected<void> remove(std::string_view key) = 0;
    /// All keys, in any order; for `pan123 uploads`.
    virtual Expected<std::vector<std::string>> list()
    {
        return Error(errc::not_supported, "this store does not tell what it keeps");
    }
};

/// Kinds of events, PAN123_EV_; there may be others.
enum class EventKind : std::uint32_t {
    state = PAN123_EV_STATE,
    progress = PAN123_EV_PROGRESS,
    slice = PAN123_EV_SLICE,
    retry = PAN123_EV_RETRY,
    log = PAN123_EV_LOG,
    completed = PAN123_EV_COMPLETED,
    failed = PAN123_EV_FAILED,
    cancelled = PAN123_EV_CANCELLED,
    paused = PAN123_EV_PAUSED
};

/// Stages of an upload, PAN123_STAGE_.
enum class Stage : std::uint32_t {
    fresh = PAN123_STAGE_NEW,
    hashing = PAN123_STAGE_HASHING,
    creating = PAN123_STAGE_CREATING,
    sending = PAN123_STAGE_SENDING,
    completing = PAN123_STAGE_COMPLETING,
    done = PAN123_STAGE_DONE
};

/// News of an upload. `text` lives until the next Queue::next, or until Observer::on_event returns.
struct Event {
    EventKind kind;
    std::uint64_t user, seq, bytes_done, bytes_total;
    std::int64_t value;
    errc code;
    std::uint32_t slice_no;
    std::string_view text;

    explicit Event(const pan123_event &raw) noexcept
        : kind(static_cast<EventKind>(raw.kind)), user(raw.user), seq(raw.seq), bytes_done(raw.bytes_done),
          bytes_total(raw.bytes_total), value(raw.value), code(static_cast<errc>(raw.code)), slice_no(raw.slice_no),
          text(raw.text ? std::string_view(raw.text, raw.text_len) : std::string_view())
    {
    }
    /// No other event of this start of the upload follows.
    bool is_last() const noexcept { return static_cast<std::uint32_t>(kind) >= PAN123_EV_COMPLETED; }
    /// Of EventKind::state.
    Stage stage() const noexcept { return static_cast<Stage>(value); }
};

/// An observer of yours. There is nobody to tell of an exception that leaves it: it is dropped.
class Observer {
public:
    virtual ~Observer() = default;
    virtual void on_event(const Event &event) = 0;
};

namespace detail {
inline pan123_source_vtable source_vtable(Calls calls) noexcept
{
    using At = Shared<ByteSource>;
    pan123_source_vtable vtable = {};
    vtable.h = head<ByteSource>(sizeof vtable, calls);
    vtable.read_at = [](std::uintptr_t ctx, std::uint64_t offset, std::uint8_t *buf, std::size_t len, std::size_t *out_n,
                        pan123_error **err) noexcept {
        return guarded(err, [&]() -> Expected<void> {
            Expected<std::size_t> got = At::at(ctx).read_at(offset, Buffer(buf, len));
            if (!got) return std::move(got.error());
            *out_n = *got;
            return {};
        });
    };
    vtable.identity = [](std::uintptr_t ctx, pan123_identity *out, pan123_error **err) noexcept {
        return guarded(err, [&]() -> Expected<void> {
            Identity identity = {out->size, out->inode, out->mtime_ns};
            Expected<void> told = At::at(ctx).identity(identity);
            if (!told) return told;
            out->size = identity.size;
            out->inode = identity.inode;
            out->mtime_ns = identity.mtime_ns;
            return {};
        });
    };
    return vtable;
}

inline pan123_transport_vtable transport_vtable(Calls calls) noexcept
{
    using At = Shared<HttpLayer>;
    pan123_transport_vtable vtable = {};
    vtable.h = head<HttpLayer>(sizeof vtable, calls);
    vtable.send = [](std::uintptr_t ctx, pan123_http *x, pan123_error **err) noexcept {
        return guarded(err, [&] {
            Http exchange(x);
            return At::at(ctx).send(exchange);
        });
    };
    vtable.interrupt = [](std::uintptr_t ctx, const pan123_http *x) noexcept { At::at(ctx).interrupt(x); };
    return vtable;
}

inline Expected<void> put(pan123_sink *to, Bytes data) noexcept
{
    return done(PAN123_CALL(sink_put)(to, data.data(), data.size()));
}

inline pan123_tokens_vtable tokens_vtable(Calls calls) noexcept
{
    using At = Shared<TokenProvider>;
    pan123_tokens_vtable vtable = {};
    vtable.h = head<TokenProvider>(sizeof vtable, calls);
    vtable.get = [](std::uintptr_t ctx, const char *refused, std::size_t refused_len, pan123_sink *token,
                    std::int64_t *expires_unix_ms, pan123_error **err) noexcept {
        return guarded(err, [&]() -> Expected<void> {
            std::optional<std::string_view> turned_down;
            if (refused) turned_down.emplace(refused, refused_len);
            Expected<AccessToken> got = At::at(ctx).get(turned_down);
            if (!got) return std::move(got.error());
            if (got->expires)
                *expires_unix_ms =
                    std::chrono::duration_cast<std::chrono::milliseconds>(got->expires->time_since_epoch()).count();
            return put(token, got->text);
        });
    };
    return vtable;
}

inline pan123_store_vtable store_vtable(Calls calls) noexcept
{
    using At = Shared<ResumeStore>;
    pan123_store_vtable vtable = {};
    vtable.h = head<ResumeStore>(sizeof vtable, calls);
    vtable.load = [](std::uintptr_t ctx, const char *key, std::size_t len, pan123_sink *to, pan123_error **err) noexcept {
        return guarded(err, [&]() -> Expected<void> {
            Expected<std::string> data = At::at(ctx).load({key, len});
            if (!data) return std::move(data.error());
            return put(to, *data);
        });
    };
    vtable.save = [](std::uintptr_t ctx, const char *key, std::size_t key_len, const std::uint8_t *data, std::size_t len,
                     pan123_error **err) noexcept {
        return guarded(err, [&] { return At::at(ctx).save({key, key_len}, Bytes(data, len)); });
    };
    vtable.remove = [](std::uintptr_t ctx, const char *key, std::size_t len, pan123_error **err) noexcept {
        return guarded(err, [&] { return At::at(ctx).remove({key, len}); });
    };
    vtable.list = [](std::uintptr_t ctx, pan123_sink *to, pan123_error **err) noexcept {
        return guarded(err, [&]() -> Expected<void> {
            Expected<std::vector<std::string>> keys = At::at(ctx).list();
            if (!keys) return std::move(keys.error());
            for (const std::string &key : *keys) {
                // Its NUL goes along.
                Expected<void> told = put(to, Bytes(key.c_str(), key.size() + 1));
                if (!told) return told;
            }
            return {};
        });
    };
    return vtable;
}

inline pan123_observer_vtable observer_vtable() noexcept
{
    pan123_observer_vtable vtable = {};
    vtable.h = head<Observer>(sizeof vtable, Calls::may_overlap);
    vtable.on_event = [](std::uintptr_t ctx, const pan123_event *event) noexcept {
#if PAN123_HAS_EXCEPTIONS
        try {
            Shared<Observer>::at(ctx).on_event(Event(*event));
        } catch (...) {
        }
#else
        Shared<Observer>::at(ctx).on_event(Event(*event));
#endif
    };
    return vtable;
}

/// An object of yours that is not there.
inline Error nothing_given(const char *what) { return Error(errc::invalid_argument, std::string(what) + " is null"); }
} // namespace detail

/// What is uploaded or hashed.
class Source : public Handle<pan123_source, pan123_source_free> {
public:
    using Handle::Handle;

    /// A file on disk.
    static Expected<Source> from_path(Text path)
    {
        return detail::make<Source>(
            [&](auto out, auto err) { return pan123_source_from_path(path.data(), path.size(), out, err); });
    }
    /// Bytes that `keeper` keeps alive and that do not change; not copied. An empty `keeper` says that they outlive
    /// the source and everything that is given it.
    static Expected<Source> from_memory(Bytes bytes, std::shared_ptr<const void> keeper)
    {
        auto *kept = keeper ? new std::shared_ptr<const void>(std::move(keeper)) : nullptr;
        const auto release = [](std::uintptr_t ctx) noexcept {
            delete reinterpret_cast<std::shared_ptr<const void> *>(ctx);
        };
        return detail::make<Source>([&](auto out, auto err) {
            return pan123_source_from_memory(bytes.data(), bytes.size(), release, reinterpret_cast<std::uintptr_t>(kept),
                                             out, err);
        });
    }
    /// A container of bytes, moved in: string, vector, array.
    template <class Range, std::enable_if_t<std::is_constructible_v<Bytes, const Range &> && detail::owns<Range>, int> = 0>
    static Expected<Source> from_memory(Range bytes)
    {
        auto kept = std::make_shared<const Range>(std::move(bytes));
        return from_memory(Bytes(*kept), kept);
    }
    /// A view keeps nothing alive: say who does.
    template <class Range, std::enable_if_t<std::is_constructible_v<Bytes, const Range &> && !detail::owns<Range>, int> = 0>
    static Expected<Source> from_memory(Range view) = delete;
    /// A source of yours of `size` bytes.
    static Expected<Source> make(std::shared_ptr<ByteSource> source, std::uint64_t size, Calls calls = Calls::may_overlap)
    {
        if (!source) return detail::nothing_given("the ByteSource");
        const pan123_source_vtable vtable = detail::source_vtable(calls);
        const auto ctx = detail::Shared<ByteSource>::give(std::move(source));
        return detail::make<Source>([&](auto out, auto err) { return pan123_source_new(&vtable, ctx, size, out, err); });
    }
};

/// How requests get out.
class Transport : public Handle<pan123_transport, pan123_transport_free> {
public:
    using Handle::Handle;

    /// A layer over the built-in transport.
    static Expected<Transport> make(std::shared_ptr<HttpLayer> layer, Calls calls = Calls::may_overlap)
    {
        return make(std::move(layer), Transport(), calls);
    }
    /// A layer over another one.
    static Expected<Transport> make(std::shared_ptr<HttpLayer> layer, const Transport &inner,
                                    Calls calls = Calls::may_overlap)
    {
        if (!layer) return detail::nothing_given("the HttpLayer");
        const pan123_transport_vtable vtable = detail::transport_vtable(calls);
        const auto ctx = detail::Shared<HttpLayer>::give(std::move(layer));
        return detail::make<Transport>(
            [&](auto out, auto err) { return pan123_transport_new(inner.get(), &vtable, ctx, out, err); });
    }
};

/// Where access tokens come from.
class Tokens : public Handle<pan123_tokens, pan123_tokens_free> {
public:
    using Handle::Handle;

    static Expected<Tokens> make(std::shared_ptr<TokenProvider> provider, Calls calls = Calls::may_overlap)
    {
        if (!provider) return detail::nothing_given("the TokenProvider");
        const pan123_tokens_vtable vtable = detail::tokens_vtable(calls);
        const auto ctx = detail::Shared<TokenProvider>::give(std::move(provider));
        return detail::make<Tokens>([&](auto out, auto err) { return pan123_tokens_new(&vtable, ctx, out, err); });
    }
};

/// Where unfinished uploads are remembered.
class Store : public Handle<pan123_store, pan123_store_free> {
public:
    using Handle::Handle;

    static Expected<Store> make(std::shared_ptr<ResumeStore> store, Calls calls = Calls::may_overlap)
    {
        if (!store) return detail::nothing_given("the ResumeStore");
        const pan123_store_vtable vtable = detail::store_vtable(calls);
        const auto ctx = detail::Shared<ResumeStore>::give(std::move(store));
        return detail::make<Store>([&](auto out, auto err) { return pan123_store_new(&vtable, ctx, out, err); });
    }
};

/// Where events arrive.
class Queue : public Handle<pan123_queue, pan123_queue_free> {
public:
    using Handle::Handle;

    /// Events are taken with `next`.
    static Expected<Queue> pull()
    {
        return detail::make<Queue>([](auto out, auto err) { return pan123_queue_new(nullptr, 0, out, err); });
    }
    /// Events are given to an observer.
    static Expected<Queue> push(std::shared_ptr<Observer> observer)
    {
        if (!observer) return detail::nothing_given("the Observer");
        const pan123_observer_vtable vtable = detail::observer_vtable();
        const auto ctx = detail::Shared<Observer>::give(std::move(observer));
        return detail::make<Queue>([&](auto out, auto err) { return pan123_queue_new(&vtable, ctx, out, err); });
    }
    /// The next event; `errc::timeout` if none came.
    Expected<Event> next(std::chrono::milliseconds timeout = forever) const noexcept
    {
        pan123_event event = {};
        event.struct_size = sizeof event;
        const pan123_status status = pan123_queue_next(get(), timeout.count(), &event);
        if (status != PAN123_OK) return Error(status, nullptr);
        return Event(event);
    }
    /// What to poll: a file descriptor that is readable as long as an event waits.
    Expected<std::int64_t> os_handle() const noexcept
    {
        std::int64_t handle = -1;
        const pan123_status status = pan123_queue_handle(get(), &handle);
        if (status != PAN123_OK) return Error(status, nullptr);
        return handle;
    }
};

// ---- Options ----

namespace detail {
/// Setters that can be chained. The first one that fails is reported by whoever is given the options.
template <class Self> class Options {
public:
    Self &set(std::uint32_t option, Text value)
    {
        return keep([&](auto o, auto err) { return pan123_options_set_str(o, option, value.data(), value.size(), err); });
    }
    Self &set(std::uint32_t option, std::uint64_t value)
    {
        return keep([&](auto o, auto err) { return pan123_options_set_u64(o, option, value, err); });
    }
    /// What went wrong first, if anything.
    Expected<void> check() const
    {
        if (code_ == errc::ok) return {};
        return Error(code_, message_);
    }
    /// NULL as long as nothing is set.
    const pan123_options *get() const noexcept { return options_.get(); }

protected:
    template <class Call> Self &keep(Call &&call)
    {
        pan123_error *error = nullptr;
        pan123_options *made = nullptr;
        pan123_status status = PAN123_OK;
        if (!options_) status = pan123_options_new(&made, &error);
        if (made) options_.reset(made);
        if (status == PAN123_OK) status = call(options_.get(), &error);
        if (status != PAN123_OK) {
            const Error failed(status, error);
            if (code_ == errc::ok) {
                code_ = failed.code();
                message_ = failed.message();
            }
        }
        return static_cast<Self &>(*this);
    }

private:
    Handle<pan123_options, pan123_options_free> options_;
    errc code_ = errc::ok;
    std::string message_;
};

inline std::uint64_t millis(std::chrono::milliseconds time) noexcept
{
    return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}
} // namespace detail

/// Options of a client, PAN123_OPT_.
class ClientOptions : public detail::Options<ClientOptions> {
public:
    using Self = ClientOptions;
    Self &base_url(Text url) { return set(PAN123_OPT_BASE_URL, url); }
    Self &user_agent(Text text) { return set(PAN123_OPT_USER_AGENT, text); }
    Self &access_token(Text token) { return set(PAN123_OPT_ACCESS_TOKEN, token); }
    Self &client_id(Text id) { return set(PAN123_OPT_CLIENT_ID, id); }
    Self &client_secret(Text secret) { return set(PAN123_OPT_CLIENT_SECRET, secret); }
    Self &token_cache(Text directory) { return set(PAN123_OPT_TOKEN_CACHE, directory); }
    Self &refresh_token(Text token) { return set(PAN123_OPT_REFRESH_TOKEN, token); }
    Self &state_dir(Text directory) { return set(PAN123_OPT_STATE_DIR, directory); }
    Self &proxy(Text url) { return set(PAN123_OPT_PROXY, url); }
    Self &ca_file(Text path) { return set(PAN123_OPT_CA_FILE, path); }
    Self &slices_in_flight(std::uint64_t slices) { return set(PAN123_OPT_SLICES_IN_FLIGHT, slices); }
    Self &bytes_per_sec(std::uint64_t bytes) { return set(PAN123_OPT_BYTES_PER_SEC, bytes); }
    Self &vip_rates(bool on = true) { return set(PAN123_OPT_VIP_RATES, std::uint64_t{on}); }
    Self &plain_http(bool on = true) { return set(PAN123_OPT_PLAIN_HTTP, std::uint64_t{on}); }
    Self &source_timeout(std::chrono::milliseconds time) { return set(PAN123_OPT_SOURCE_TIMEOUT_MS, detail::millis(time)); }
    Self &progress_every(std::chrono::milliseconds time) { return set(PAN123_OPT_PROGRESS_MS, detail::millis(time)); }
    Self &retry_for(std::chrono::milliseconds time) { return set(PAN123_OPT_RETRY_FOR_MS, detail::millis(time)); }
    /// Loads a plugin; `path` is absolute.
    Self &plugin(Text path, Text config = "")
    {
        return keep([&](auto o, auto err) {
            return pan123_options_add_plugin(o, path.data(), path.size(), config.data(), config.size(), err);
        });
    }
};

/// What happens when the name is taken.
enum class Duplicate : std::uint64_t { refuse = 0, keep_both = 1, replace = 2 };

/// Options of an upload, of Client::create and of Client::single.
class UploadOptions : public detail::Options<UploadOptions> {
public:
    using Self = UploadOptions;
    Self &duplicate(Duplicate what) { return set(PAN123_OPT_DUPLICATE, static_cast<std::uint64_t>(what)); }
    Self &contain_dir(bool on = true) { return set(PAN123_OPT_CONTAIN_DIR, std::uint64_t{on}); }
    Self &resume_key(Text key) { return set(PAN123_OPT_RESUME_KEY, key); }
};

// ---- Uploads and clients ----

/// How far an upload is.
struct Progress {
    Stage stage;
    std::uint32_t slices_done, slices_total, retries;
    std::uint64_t bytes_hashed, bytes_sent, bytes_confirmed, bytes_total;
};

/// The upload of one source to one place. Does nothing until it is started; destroying this does not end it.
class Upload : public Handle<pan123_upload, pan123_upload_free> {
public:
    using Handle::Handle;

    Expected<void> start() const noexcept
    {
        pan123_error *error = nullptr;
        const pan123_status status = pan123_upload_start(get(), &error);
        return detail::done(status, error);
    }
    void cancel() const noexcept { pan123_upload_cancel(get()); }
    void pause() const noexcept { pan123_upload_pause(get()); }
    /// Its outcome; `errc::timeout` if it still runs.
    Expected<Result> wait(std::chrono::milliseconds timeout = forever) const
    {
        return detail::make<Result>(
            [&](auto out, auto err) { return pan123_upload_wait(get(), timeout.count(), out, err); });
    }
    /// Starts it and waits for its outcome.
    Expected<Result> run() const
    {
        Expected<void> started = start();
        if (!started) return std::move(started.error());
        return wait();
    }
#if defined(__cpp_lib_jthread)
    /// Its outcome; it is cancelled when `token` asks for it.
    Expected<Result> wait(std::stop_token token) const
    {
        const auto cancel = [this]() noexcept { pan123_upload_cancel(get()); };
        const std::stop_callback callback(std::move(token), cancel);
        return wait();
    }
    Expected<Result> run(std::stop_token token) const
    {
        Expected<void> started = start();
        if (!started) return std::move(started.error());
        return wait(std::move(token));
    }
#endif
    Expected<Progress> progress() const noexcept
    {
        pan123_progress now = {};
        now.struct_size = sizeof now;
        const pan123_status status = pan123_upload_progress(get(), &now);
        if (status != PAN123_OK) return Error(status, nullptr);
        return Progress{static_cast<Stage>(now.state), now.slices_done, now.slices_total, now.retries,
                        now.bytes_hashed, now.bytes_sent, now.bytes_confirmed, now.bytes_total};
    }
    /// Its state, for Client::import_upload: Result::state.
    Expected<Result> export_state() const
    {
        return detail::make<Result>([&](auto out, auto err) { return pan123_upload_export(get(), out, err); });
    }
    /// Another reference.
    Upload share() const noexcept { return Upload(pan123_upload_retain(get())); }
};

/// What a client is given besides options. All may be null; they are needed only while the client is made.
struct Parts {
    const Tokens *tokens = nullptr;
    const Transport *transport = nullptr;
    const Store *store = nullptr;
    const Queue *queue = nullptr;
};

/// What becomes of uploads that run when their client is shut down.
enum class Running : std::int32_t { finishes = 0, is_cancelled = 1 };

/// One account of the service. Make one and use it for all uploads.
class Client : public Handle<pan123_client, pan123_client_free> {
public:
    using Handle::Handle;

    /// Also checks that the library fits this header.
    static Expected<Client> make(const ClientOptions &options, const Parts &parts = {})
    {
        if (pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK)
            return Error(errc::abi, "libpan123 is of another version than the pan123.h that this program was built with");
        Expected<void> checked = options.check();
        if (!checked) return std::move(checked.error());
        return detail::make<Client>([&](auto out, auto err) {
            return pan123_client_new(options.get(), parts.tokens ? parts.tokens->get() : nullptr,
                                     parts.transport ? parts.transport->get() : nullptr,
                                     parts.store ? parts.store->get() : nullptr,
                                     parts.queue ? parts.queue->get() : nullptr, out, err);
        });
    }
    /// Another reference.
    Client share() const noexcept { return Client(pan123_client_retain(get())); }
    Expected<void> shutdown(Running uploads, std::chrono::milliseconds timeout = forever) const noexcept
    {
        pan123_error *error = nullptr;
        const pan123_status status =
            pan123_client_shutdown(get(), static_cast<std::int32_t>(uploads), timeout.count(), &error);
        return detail::done(status, error);
    }

    /// An upload to the folder `parent_id`, where 0 is the root. `user` comes back in each event.
    Expected<Upload> upload(const Source &source, std::int64_t parent_id, Text name, const UploadOptions &options = {},
                            std::uint64_t user = 0) const
    {
        Expected<void> checked = options.check();
        if (!checked) return std::move(checked.error());
        return detail::make<Upload>([&](auto out, auto err) {
            return pan123_upload_new(get(), source.get(), parent_id, name.data(), name.size(), options.get(), user, out, err);
        });
    }
    /// An upload that goes on from a state.
    Expected<Upload> import_upload(const Source &source, Bytes state, const UploadOptions &options = {},
                                   std::uint64_t user = 0) const
    {
        Expected<void> checked = options.check();
        if (!checked) return std::move(checked.error());
        return detail::make<Upload>([&](auto out, auto err) {
            return pan123_upload_import(get(), source.get(), state.data(), state.size(), options.get(), user, out, err);
        });
    }

    // The service's own operations: one blocking call and one request each.

    Expected<Result> token(const Until &until = {}) const
    {
        return detail::make<Result>([&](auto out, auto err) { return pan123_api_token(get(), until.get(), out, err); });
    }
    Expected<Result> domain(const Until &until = {}) const
    {
        return detail::make<Result>([&](auto out, auto err) { return pan123_api_domain(get(), until.get(), out, err); });
    }
    Expected<Result> create(std::int64_t parent_id, Text name, Text etag, std::uint64_t size,
                            const UploadOptions &options = {}, const Until &until = {}) const
    {
        Expected<void> checked = options.check();
        if (!checked) return std::move(checked.error());
        return detail::make<Result>([&](auto out, auto err) {
            return pan123_api_create(get(), parent_id, name.data(), name.size(), etag.data(), etag.size(), size,
                                     options.get(), until.get(), out, err);
        });
    }
    /// A slice from memory. `md5` NULL: it is computed.
    Expected<void> slice(Text server, Text preupload_id, std::uint32_t slice_no, Bytes data, Text md5 = nullptr,
                         const Until &until = {}) const
    {
        pan123_error *error = nullptr;
        const pan123_status status =
            pan123_api_slice(get(), server.data(), server.size(), preupload_id.data(), preupload_id.size(), slice_no,
                             md5.data(), md5.size(), data.data(), data.size(), until.get(), &error);
        return detail::done(status, error);
    }
    /// A slice from a source: `len` bytes from `offset` on.
    Expected<void> slice_from(Text server, Text preupload_id, std::uint32_t slice_no, const Source &source,
                              std::uint64_t offset, std::uint64_t len, Text md5 = nullptr, const Until &until = {}) const
    {
        pan123_error *error = nullptr;
        const pan123_status status = pan123_api_slice_from(get(), server.data(), server.size(), preupload_id.data(),
                                                           preupload_id.size(), slice_no, md5.data(), md5.size(),
                                                           source.get(), offset, len, until.get(), &error);
        return detail::done(status, error);
    }
    /// Result::is_completed says whether to ask again in a second.
    Expected<Result> complete(Text preupload_id, const Until &until = {}) const
    {
        return detail::make<Result>([&](auto out, auto err) {
            return pan123_api_complete(get(), preupload_id.data(), preupload_id.size(), until.get(), out, err);
        });
    }
    Expected<Result> single(Text server, std::int64_t parent_id, Text name, Text etag, const Source &source,
                            const UploadOptions &options = {}, const Until &until = {}) const
    {
        Expected<void> checked = options.check();
        if (!checked) return std::move(checked.error());
        return detail::make<Result>([&](auto out, auto err) {
            return pan123_api_single(get(), server.data(), server.size(), parent_id, name.data(), name.size(),
                                     etag.data(), etag.size(), source.get(), options.get(), until.get(), out, err);
        });
    }
};

static_assert(sizeof(Client) == sizeof(void *) && sizeof(Upload) == sizeof(void *) && sizeof(Source) == sizeof(void *),
              "a handle costs what a pointer costs");
static_assert(!std::is_copy_constructible_v<Client> && std::is_nothrow_move_constructible_v<Client>);

/// Whether SHA-1 is computed as well.
enum class Sha1 : std::uint32_t { no = 0, yes = PAN123_HASH_SHA1 };

/// Digests of several sources, each byte read once; `out` gets as many results, empty ones where a source failed.
/// `slice_size` 0: 16 MiB.
inline Expected<void> hash(const std::vector<const Source *> &sources, std::vector<Result> &out,
                           std::uint64_t slice_size = 0, Sha1 sha1 = Sha1::no, const Until &until = {})
{
    std::vector<pan123_source *> in;
    for (const Source *source : sources) in.push_back(source ? source->get() : nullptr);
    std::vector<pan123_result *> made(sources.size(), nullptr);
    out.clear();
    out.reserve(sources.size());
    pan123_error *error = nullptr;
    const pan123_status status = pan123_hash(in.data(), in.size(), slice_size, static_cast<std::uint32_t>(sha1),
                                             until.get(), made.data(), &error);
    for (pan123_result *result : made) out.emplace_back(result);
    return detail::done(status, error);
}

/// Digests of one source.
inline Expected<Result> hash(const Source &source, std::uint64_t slice_size = 0, Sha1 sha1 = Sha1::no,
                             const Until &until = {})
{
    return detail::make<Result>([&](auto out, auto err) {
        pan123_source *in = source.get();
        return pan123_hash(&in, 1, slice_size, static_cast<std::uint32_t>(sha1), until.get(), out, err);
    });
}

/// The library's version, and how it was built, as JSON.
inline std::string_view version() noexcept { return pan123_version(); }
inline std::string_view build_info() noexcept { return pan123_build_info(); }

/// Every constant of the library that runs, by name.
inline std::vector<std::pair<std::string_view, std::int64_t>> constants()
{
    std::vector<std::pair<std::string_view, std::int64_t>> all;
    std::int64_t value = 0;
    for (std::size_t i = 0; const char *name = pan123_constant_at(i, &value); i++) all.emplace_back(name, value);
    return all;
}

// ---- Plugins ----

#ifdef PAN123_PLUGIN
/// What a plugin brings; null: nothing of the kind.
struct PluginParts {
    std::shared_ptr<HttpLayer> transport;
    std::shared_ptr<TokenProvider> tokens;
    std::shared_ptr<ResumeStore> store;
    Calls calls = Calls::may_overlap;
};

namespace detail {
template <Expected<PluginParts> (*Open)(std::string_view config)>
pan123_status open_plugin(const pan123_host *given, const char *config, std::size_t len, pan123_plugin_parts *out,
                          pan123_error **err) noexcept
{
    if (given->struct_size < sizeof *given || out->struct_size < sizeof *out) return PAN123_E_ABI;
    host = given;
    return guarded(err, [&]() -> Expected<void> {
        Expected<PluginParts> parts = Open({config, len});
        if (!parts) return std::move(parts.error());
        static const pan123_transport_vtable transport[] = {transport_vtable(Calls::may_overlap),
                                                            transport_vtable(Calls::one_at_a_time)};
        static const pan123_tokens_vtable tokens[] = {tokens_vtable(Calls::may_overlap),
                                                      tokens_vtable(Calls::one_at_a_time)};
        static const pan123_store_vtable store[] = {store_vtable(Calls::may_overlap), store_vtable(Calls::one_at_a_time)};
        const std::size_t kind = parts->calls == Calls::one_at_a_time;
        if (parts->transport) {
            out->transport_ctx = Shared<HttpLayer>::give(parts->transport);
            out->transport = &transport[kind];
        }
        if (parts->tokens) {
            out->tokens_ctx = Shared<TokenProvider>::give(parts->tokens);
            out->tokens = &tokens[kind];
        }
        if (parts->store) {
            out->store_ctx = Shared<ResumeStore>::give(parts->store);
            out->store = &store[kind];
        }
        return {};
    });
}
} // namespace detail

#if defined(_WIN32)
#define PAN123_EXPORT __declspec(dllexport)
#else
#define PAN123_EXPORT __attribute__((visibility("default")))
#endif

/// Makes a shared object a plugin. `open` is an `Expected<PluginParts> open(std::string_view config)`.
#define PAN123_DEFINE_PLUGIN(id, version, open)                                                                        \
    extern "C" PAN123_EXPORT const pan123_plugin *pan123_plugin_entry(void)                                            \
    {                                                                                                                  \
        static const pan123_plugin plugin = {PAN123_PLUGIN_MAGIC, sizeof(pan123_plugin), PAN123_ABI_VERSION, 0,        \
                                             id, version, ::pan123::detail::open_plugin<open>};                        \
        return &plugin;                                                                                                \
    }
#endif

} // namespace pan123

namespace std {
template <> struct is_error_code_enum<pan123::errc> : true_type {};
template <> struct is_error_condition_enum<pan123::Band> : true_type {};
} // namespace std

#endif
