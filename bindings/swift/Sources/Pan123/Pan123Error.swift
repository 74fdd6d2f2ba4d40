import CPan123

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Why a call failed.
///
/// A call that was ended because its task was cancelled throws `CancellationError` instead. An error of your own that
/// leaves one of your callbacks comes out of the call as a `Pan123Error` with its text: of the kind ``Kind/source`` from a
/// ``ByteSource``, ``Kind/login`` from a ``TokenProvider``, ``Kind/network`` from a ``Transport``. Throw a `Pan123Error` there
/// to choose another kind. There are no secrets in it.
public struct Pan123Error: Error, Sendable, Hashable {
    /// What kind of failure it is.
    public let kind: Kind
    /// What failed, with step, tries, codes and trace id, on one line.
    public let message: String
    /// The step that failed, for example `create` or `open source`.
    public let step: String?
    /// The service's own words, or what happened instead of an answer.
    public let serviceMessage: String?
    /// The service's trace id of the request; its support asks for it.
    public let traceID: String?
    /// What to do about it, a sentence.
    public let advice: String?
    /// What the failed request means, finer than the kind, for example `no_parent`.
    public let meaning: String?
    /// HTTP status of the answer.
    public let httpStatus: Int?
    /// The service's own code.
    public let serviceCode: Int64?
    /// How long the service asks to wait.
    public let retryAfter: Duration?
    /// The same call may well succeed later, with nothing changed.
    public let isRetryable: Bool
    /// How often the step was tried, from 1.
    public let attempts: Int?
    /// Slice number, from 1, if it was about one slice.
    public let sliceNumber: Int?
    /// Starting the same upload again goes on from here.
    public let isResumable: Bool
    /// What a callback of yours threw, if the failure came of that: the same error, for `as?`. It has no part in whether
    /// two errors are equal.
    public var underlyingError: (any Error)? { origin.error }

    private var origin: Origin

    private struct Origin: Sendable, Hashable {
        let error: (any Error)?
        static func == (_: Origin, _: Origin) -> Bool { true }
        func hash(into _: inout Hasher) {}
    }

    /// An error for a callback of yours to throw. `message` says in a sentence what went wrong, without secrets.
    public init(_ kind: Kind, _ message: String) {
        self.init(kind, message, advice: nil)
    }

    init(_ kind: Kind, _ message: String, advice: String?) {
        self.kind = kind
        self.message = message
        self.advice = advice
        (step, serviceMessage, traceID, meaning) = (nil, nil, nil, nil)
        (httpStatus, serviceCode, retryAfter, attempts, sliceNumber) = (nil, nil, nil, nil, nil)
        (isRetryable, isResumable) = (false, false)
        origin = Origin(error: nil)
    }

    /// The same error, with what a callback threw.
    func coming(of thrown: (any Error)?) -> Pan123Error {
        var error = self
        error.origin = Origin(error: thrown)
        return error
    }

    /// What the library says, whose `error` is freed.
    init(_ api: cpan123_functions, _ status: pan123_status, taking error: OpaquePointer?) {
        defer { api.error_free(error) }
        func said(_ field: Int32) -> String? { string(api.error_str(error, UInt32(field), nil)) }
        func text(_ field: Int32) -> String? { said(field).map { Failures.read($0).words } }
        func number(_ field: Int32) -> Int64? {
            let value = api.error_i64(error, UInt32(field), .min)
            return value == .min ? nil : value
        }
        kind = Kind(rawValue: status)
        let (words, thrown) = Failures.read(said(PAN123_F_MESSAGE) ?? string(api.status_name(status)) ?? "")
        message = kind == .invalidArgument && thrown == nil ? named(words) : words
        origin = Origin(error: thrown)
        step = text(PAN123_F_STEP)
        serviceMessage = text(PAN123_F_API_MESSAGE)
        traceID = text(PAN123_F_TRACE_ID)
        advice = text(PAN123_F_ADVICE)
        meaning = text(PAN123_F_CLASS)
        httpStatus = number(PAN123_F_HTTP_STATUS).map(Int.init)
        serviceCode = number(PAN123_F_API_CODE)
        retryAfter = number(PAN123_F_RETRY_AFTER_MS).map { .milliseconds($0) }
        isRetryable = number(PAN123_F_RETRYABLE) == 1
        attempts = number(PAN123_F_ATTEMPTS).map(Int.init)
        sliceNumber = number(PAN123_F_SLICE_NO).map(Int.init)
        isResumable = number(PAN123_F_RESUMABLE) == 1
    }
}

extension Pan123Error: CustomStringConvertible, LocalizedError {
    /// The message.
    public var description: String { message }
    /// The message.
    public var errorDescription: String? { message }
    /// The advice.
    public var recoverySuggestion: String? { advice }
}

extension Pan123Error.Kind: CustomStringConvertible {
    /// The name, for example `network`; the number of a kind that has none here.
    public var description: String { Self.names[self] ?? "kind \(rawValue)" }

    private static let names: [Self: String] = [
        .library: "library", .invalidArgument: "invalidArgument", .unknownOption: "unknownOption",
        .wrongState: "wrongState", .forked: "forked", .notSupported: "notSupported", .timeout: "timeout",
        .cancelled: "cancelled", .paused: "paused", .shutDown: "shutDown", .callback: "callback",
        .source: "source", .sourceChanged: "sourceChanged", .sourceStalled: "sourceStalled", .store: "store",
        .network: "network", .tls: "tls", .networkTimeout: "networkTimeout", .slowUplink: "slowUplink",
        .server: "server", .`protocol`: "protocol", .login: "login", .rateLimited: "rateLimited",
        .name: "name", .verifyFailed: "verifyFailed", .refused: "refused", .`internal`: "internal",
        .panic: "panic",
    ]
}

extension Pan123Error {
    /// A kind of failure. More may come; those that this version does not name have their number, and stand in the
    /// same bands of hundreds as the others.
    public struct Kind: RawRepresentable, Sendable, Hashable {
        /// The status code of the library.
        public let rawValue: Int32

        /// The kind with this status code.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// libpan123 is missing, or does not fit this package.
        public static let library = Kind(rawValue: PAN123_E_ABI)
        /// A parameter is not acceptable.
        public static let invalidArgument = Kind(rawValue: PAN123_E_INVALID_ARGUMENT)
        /// An option that this version of the library does not know.
        public static let unknownOption = Kind(rawValue: PAN123_E_UNKNOWN_NUMBER)
        /// Not now: for example a second start of an upload.
        public static let wrongState = Kind(rawValue: PAN123_E_WRONG_STATE)
        /// The object was made before `fork`; only the process that made it can use it.
        public static let forked = Kind(rawValue: PAN123_E_FORKED)
        /// This build of the library or this system does not have it.
        public static let notSupported = Kind(rawValue: PAN123_E_NOT_SUPPORTED)
        /// The time given to a wait is over.
        public static let timeout = Kind(rawValue: PAN123_E_TIMEOUT)
        /// Cancelled by ``Upload/cancel()``.
        public static let cancelled = Kind(rawValue: PAN123_E_CANCELLED)
        /// Paused by ``Upload/pause()``.
        public static let paused = Kind(rawValue: PAN123_E_PAUSED)
        /// The client was shut down.
        public static let shutDown = Kind(rawValue: PAN123_E_SHUTDOWN)
        /// A callback failed, or answered with something impossible.
        public static let callback = Kind(rawValue: PAN123_E_CALLBACK)
        /// The source cannot be opened or read.
        public static let source = Kind(rawValue: PAN123_E_SOURCE_IO)
        /// The source is no longer what it was when the upload began.
        public static let sourceChanged = Kind(rawValue: PAN123_E_SOURCE_CHANGED)
        /// Reading the source took longer than ``Configuration/sourceTimeout``.
        public static let sourceStalled = Kind(rawValue: PAN123_E_SOURCE_STALLED)
        /// Resume state or the token cache cannot be read, written or locked.
        public static let store = Kind(rawValue: PAN123_E_STORE)
        /// No connection, or it kept breaking.
        public static let network = Kind(rawValue: PAN123_E_NETWORK)
        /// The server's certificate or the TLS handshake is not accepted.
        public static let tls = Kind(rawValue: PAN123_E_TLS)
        /// Nothing moved, or no answer came, for too long.
        public static let networkTimeout = Kind(rawValue: PAN123_E_NET_TIMEOUT)
        /// The uplink cannot pass one slice before the gateway drops it.
        public static let slowUplink = Kind(rawValue: PAN123_E_SLOW_UPLINK)
        /// The service kept failing on its side.
        public static let server = Kind(rawValue: PAN123_E_SERVER)
        /// The answer is not what the service's protocol promises.
        public static let `protocol` = Kind(rawValue: PAN123_E_PROTOCOL)
        /// The service does not let us in: token, client id or secret.
        public static let login = Kind(rawValue: PAN123_E_LOGIN)
        /// Too many requests, even after slowing down.
        public static let rateLimited = Kind(rawValue: PAN123_E_RATE_LIMITED)
        /// The file's name breaks the service's rules.
        public static let name = Kind(rawValue: PAN123_E_NAME)
        /// The service holds other bytes than were announced.
        public static let verifyFailed = Kind(rawValue: PAN123_E_VERIFY_FAILED)
        /// The service refuses for a reason of its own; read its message.
        public static let refused = Kind(rawValue: PAN123_E_REFUSED)
        /// A defect of the library. Please report it.
        public static let `internal` = Kind(rawValue: PAN123_E_INTERNAL)
        /// A panic inside the library was caught. Please report it.
        public static let panic = Kind(rawValue: PAN123_E_PANIC)
    }
}
