import CPan123

/// How a ``Client`` is to work. What is `nil` stays as the library has it.
public struct Configuration: Sendable {
    /// A ready access token.
    public var accessToken: String?
    /// Id and secret of a developer account, to get access tokens with.
    public var login: Login?
    /// An OAuth2 refresh token, with the id and secret of an app as `login`. Needs `tokenCache`, which keeps the token that
    /// comes in its place each time: it works once.
    public var refreshToken: String?
    /// A token provider of your own; it wins over `accessToken` and `login`.
    public var tokens: (any TokenProvider)?
    /// Folder that keeps the token made with `login` (file mode 0600), shared by all processes that name it. Without
    /// it each client logs in anew, and the service allows only three tokens at a time.
    public var tokenCache: String?
    /// Folder for what a resume after a crash needs. Without it, and without a store, an upload can be resumed by
    /// ``Upload/start()`` and ``Client/makeUpload(resuming:of:resumeKey:)`` only.
    public var stateDirectory: String?
    /// A resume store of your own instead of a folder.
    public var store: (any ResumeStore)?
    /// Transports of your own. The first is outermost: it sees a request first. The last one's requests go out by the
    /// built-in transport, if it forwards them.
    public var transports: [any Transport] = []
    /// Address of the service, `https://` or `http://`; without a scheme `https://`, for this machine `http://`. Default: `https://open-api.123pan.com`.
    public var baseURL: String?
    /// The `User-Agent` header, visible ASCII and spaces. Default: `pan123/VERSION`. Empty: the header is sent empty.
    public var userAgent: String?
    /// Proxy for all requests, `http://`, `https://` or `socks5://`. Default: the environment's.
    public var proxy: String?
    /// PEM file with certificates to trust besides the system's.
    public var certificates: String?
    /// Slices in flight over all uploads of the client, 1 to 64. 0, the default: as many as the link carries.
    public var slicesInFlight: Int?
    /// The most bytes per second that bodies may send together. 0, the default: no cap.
    public var bytesPerSecond: UInt64?
    /// Request rates of a paying account.
    public var vipRates = false
    /// How long one read of a ``ByteSource`` may take, in whole milliseconds, from 1 ms to 24 h. Default: 30 s.
    public var sourceTimeout: Duration?
    /// How often an upload tells its progress, in whole milliseconds, from 10 ms to 24 h. Default: 200 ms.
    public var progressInterval: Duration?
    /// How long an upload keeps trying when nothing gets through, in whole milliseconds, up to 24 h. Default: 60 s. Zero:
    /// the first request that does not get through ends it.
    public var retryFor: Duration?
    /// Lets the access token go over plain `http://` to any host, instead of loopback and the host of `baseURL` alone.
    public var plainHTTP = false

    /// Id and secret of a developer account.
    public struct Login: Sendable {
        /// The client id.
        public var clientID: String
        /// The secret that goes with it.
        public var secret: String

        /// A developer account.
        public init(clientID: String, secret: String) {
            self.clientID = clientID
            self.secret = secret
        }
    }

    /// A configuration without a way to get a token; set one.
    public init() {}

    /// With a ready access token.
    public init(accessToken: String) { self.accessToken = accessToken }

    /// With a developer account, and a folder to keep its token in.
    public init(clientID: String, secret: String, tokenCache: String? = nil) {
        login = Login(clientID: clientID, secret: secret)
        self.tokenCache = tokenCache
    }

    /// With a token provider of your own.
    public init(tokens: any TokenProvider) { self.tokens = tokens }

    func options(_ api: cpan123_functions) throws(Pan123Error) -> Handle {
        let options = try Options(api)
        try options.set(PAN123_OPT_ACCESS_TOKEN, accessToken)
        try options.set(PAN123_OPT_CLIENT_ID, login?.clientID)
        try options.set(PAN123_OPT_CLIENT_SECRET, login?.secret)
        try options.set(PAN123_OPT_REFRESH_TOKEN, refreshToken)
        try options.set(PAN123_OPT_TOKEN_CACHE, tokenCache)
        try options.set(PAN123_OPT_STATE_DIR, stateDirectory)
        try options.set(PAN123_OPT_BASE_URL, baseURL)
        try options.set(PAN123_OPT_USER_AGENT, userAgent)
        try options.set(PAN123_OPT_PROXY, proxy)
        try options.set(PAN123_OPT_CA_FILE, certificates)
        try options.set(PAN123_OPT_SLICES_IN_FLIGHT, try slicesInFlight.map(natural("slicesInFlight")))
        try options.set(PAN123_OPT_BYTES_PER_SEC, bytesPerSecond)
        try options.set(PAN123_OPT_VIP_RATES, vipRates ? 1 : nil)
        try options.set(PAN123_OPT_SOURCE_TIMEOUT_MS, try sourceTimeout.map(milliseconds("sourceTimeout")))
        try options.set(PAN123_OPT_PROGRESS_MS, try progressInterval.map(milliseconds("progressInterval")))
        try options.set(PAN123_OPT_RETRY_FOR_MS, try retryFor.map(milliseconds("retryFor")))
        try options.set(PAN123_OPT_PLAIN_HTTP, plainHTTP ? 1 : nil)
        return options.handle
    }
}

extension Configuration: CustomStringConvertible, CustomReflectable {
    /// Without the secrets.
    public var description: String { "a configuration for \(baseURL ?? "the service")" }
    /// Without the secrets.
    public var customMirror: Mirror { Mirror(self, children: ["baseURL": baseURL as Any]) }
}

extension Configuration.Login: CustomStringConvertible, CustomReflectable {
    /// Without the secret.
    public var description: String { "the account \(clientID)" }
    /// Without the secret.
    public var customMirror: Mirror { Mirror(self, children: ["clientID": clientID]) }
}

/// How one file is to be stored.
public struct UploadOptions: Sendable {
    /// What happens when the name is taken.
    public var duplicate: Duplicate = .refuse
    /// The name is a path from the folder on, and the service makes missing folders.
    public var nameIsPath = false
    /// What names a source of your own in another run of the program, so that the store can resume it. Files on disk
    /// have their path for that.
    public var resumeKey: String?

    /// What happens when a name is taken.
    public enum Duplicate: UInt64, Sendable {
        /// The service refuses.
        case refuse = 0
        /// Both files are kept.
        case keepBoth = 1
        /// The old file is replaced.
        case replace = 2
    }

    /// The usual way.
    public init(duplicate: Duplicate = .refuse, nameIsPath: Bool = false, resumeKey: String? = nil) {
        self.duplicate = duplicate
        self.nameIsPath = nameIsPath
        self.resumeKey = resumeKey
    }

    func handle(_ api: cpan123_functions) throws(Pan123Error) -> Handle {
        let options = try Options(api)
        try options.set(PAN123_OPT_DUPLICATE, duplicate.rawValue)
        try options.set(PAN123_OPT_CONTAIN_DIR, nameIsPath ? 1 : 0)
        try options.set(PAN123_OPT_RESUME_KEY, resumeKey)
        return options.handle
    }

    /// Without what only an upload of many requests has.
    func target(_ api: cpan123_functions) throws(Pan123Error) -> Handle {
        try UploadOptions(duplicate: duplicate, nameIsPath: nameIsPath).handle(api)
    }
}

/// A set of options as the library has it.
struct Options {
    let handle: Handle

    init(_ api: cpan123_functions) throws(Pan123Error) {
        handle = try Handle(api, free: api.options_free, make: api.options_new)
    }

    func set(_ option: Int32, _ value: String?) throws(Pan123Error) {
        guard let value else { return }
        try handle.api.check { error in
            handle.lend { options in
                value.lend { handle.api.options_set_str(options, UInt32(option), $0, $1, error) }
            }
        }
    }

    func set(_ option: Int32, _ value: UInt64?) throws(Pan123Error) {
        guard let value else { return }
        try handle.api.check { error in
            handle.lend { handle.api.options_set_u64($0, UInt32(option), value, error) }
        }
    }
}

/// What the library calls parameters in its errors, and what they are here.
private let names = [
    ("client_id and client_secret", "login"), ("client_id", "login.clientID"), ("client_secret", "login.secret"),
    ("access_token", "accessToken"), ("a token source of your own", "tokens"), ("refresh_token", "refreshToken"),
    ("token_cache", "tokenCache"), ("state_dir", "stateDirectory"), ("base_url", "baseURL"), ("user_agent", "userAgent"),
    ("ca_file", "certificates"), ("ca file", "certificates"), ("slices_in_flight", "slicesInFlight"),
    ("bytes_per_sec", "bytesPerSecond"), ("source_timeout_ms", "sourceTimeout in milliseconds"),
    ("progress_ms", "progressInterval in milliseconds"), ("retry_for_ms", "retryFor in milliseconds"),
    ("resume_key", "resumeKey"), ("parent_id", "folder"), ("preupload_id", "preuploadID"), ("slice_size", "sliceSize"),
]

/// A message about parameters, with their names here. Part of a path or of a longer word is no name.
func named(_ message: String) -> String {
    names.reduce(message) { message, name in
        var (rest, done) = (message[...], "")
        while let found = rest.firstRange(of: name.0) {
            let isName = (rest[..<found.lowerBound].last ?? " ") == " " && " ,:;)".contains(rest[found.upperBound...].first ?? " ")
            done += rest[..<found.lowerBound] + (isName ? name.1 : name.0)
            rest = rest[found.upperBound...]
        }
        return done + rest
    }
}

private func natural(_ name: String) -> (Int) throws(Pan123Error) -> UInt64 {
    { value throws(Pan123Error) in
        guard let value = UInt64(exactly: value) else {
            throw Pan123Error(.invalidArgument, "\(name) is \(value), and may not be negative")
        }
        return value
    }
}

func milliseconds(_ name: String) -> (Duration) throws(Pan123Error) -> UInt64 {
    { value throws(Pan123Error) in
        let (seconds, attoseconds) = value.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        guard seconds >= 0, attoseconds >= 0, !overflow else {
            throw Pan123Error(.invalidArgument, "\(name) is \(value), which is no time to wait")
        }
        return UInt64(whole) + UInt64(attoseconds / 1_000_000_000_000_000)
    }
}
