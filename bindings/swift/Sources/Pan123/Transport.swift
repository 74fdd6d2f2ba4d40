import CPan123
import Dispatch
import Synchronization

/// A transport of your own: it sends requests, or changes them on their way.
public protocol Transport: Sendable {
    /// Sends `request` once, without retries and without following redirects, and returns the answer; any HTTP status
    /// is an answer. Calls overlap. The task is cancelled when the request is given up.
    ///
    /// Throw a ``Pan123Error`` of the kind `tls`, `networkTimeout` or `protocol` if there is no answer for that reason;
    /// every other error counts as ``Pan123Error/Kind/network``. A transport that uses its own client holds it weakly.
    func send(_ request: TransportRequest) async throws -> TransportResponse
}

/// The answer to a request.
public struct TransportResponse: Sendable {
    /// HTTP status, 100 to 599.
    public var status: Int
    /// Headers.
    public var headers: [(name: String, value: String)]
    /// The body, at most 1 MiB.
    public var body: [UInt8]

    /// An answer.
    public init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// A request that a ``Transport`` is to send. It can be used until `send` returns; afterwards its functions throw.
public final class TransportRequest: Sendable {
    /// `GET` or `POST`.
    public let method: String
    /// The absolute URL.
    public let url: String
    /// The headers, without `Content-Length` and `Host`, which are the transport's to make. One of them is the access
    /// token: write it to no log.
    public let headers: [(name: String, value: String)]
    /// Length of the body in bytes.
    public let bodyLength: UInt64
    /// How long the exchange may stand still before it is given up.
    public let timeout: Duration

    private let loan: Loan

    fileprivate init(_ api: cpan123_functions, _ exchange: OpaquePointer) {
        method = string(api.http_str(exchange, UInt32(PAN123_F_METHOD), nil)) ?? ""
        url = string(api.http_str(exchange, UInt32(PAN123_F_URL), nil)) ?? ""
        headers = api.headers(of: exchange, answer: false)
        bodyLength = UInt64(clamping: api.http_i64(exchange, UInt32(PAN123_F_BODY_LEN), 0))
        timeout = .milliseconds(api.http_i64(exchange, UInt32(PAN123_F_TIMEOUT_MS), 0))
        loan = Loan(api, exchange)
    }

    /// Reads the body, at any offset and any number of times, and returns how many bytes there were; fewer than there
    /// is room for only at its end. May block: it keeps the bandwidth cap, and waits for a ``ByteSource``.
    public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Pan123Error) -> Int {
        var got = 0
        try loan.use { api, exchange, error in
            let start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return api.http_read_body(exchange, offset, start, buffer.count, &got, error)
        }
        return got
    }

    /// The whole body, read on a thread of its own. When the task is cancelled, throws `CancellationError` within 250 ms.
    public func body() async throws -> [UInt8] {
        try await leavable { isLeft in
            let length = Int(self.bodyLength)
            return try [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
                while count < length, !isLeft() {
                    let room = buffer[count..<min(count + Self.step, length)]
                    let got = try self.read(
                        at: UInt64(count), into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: room)))
                    if got == 0 { break }
                    count += got
                }
            }
        }
    }

    /// How much of a body is read at a time.
    private static let step = 256 << 10

    /// Sets a header before the request is forwarded; one of the same name is replaced.
    public func setHeader(_ name: String, _ value: String) throws(Pan123Error) {
        var status = PAN123_OK
        try loan.use { api, exchange, _ in
            status = api.setHeader(of: exchange, answer: false, name, value)
            return PAN123_OK
        }
        if status != PAN123_OK {
            throw Pan123Error(.invalidArgument, "the header \(name) cannot be set to that, or not by a transport")
        }
    }

    /// Sends the request through the transport below, at last the built-in one, and returns its answer. May be repeated.
    /// When the task is cancelled, throws `CancellationError` within 250 ms.
    public func forward() async throws -> TransportResponse {
        try await blocking(loan.api) { stop in
            var answer = TransportResponse(status: 0)
            try self.loan.use { api, exchange, error in
                let status = stop.lend { api.http_forward_until(exchange, $0, error) }
                if status == PAN123_OK { answer = api.answer(of: exchange) }
                return status
            }
            return answer
        }
    }

    /// Puts the answer to where the library takes it from.
    fileprivate func answer(_ answer: TransportResponse) throws(Pan123Error) {
        guard (100...599).contains(answer.status), answer.body.count <= 1 << 20 else {
            throw Pan123Error(
                .protocol,
                "the transport answered with status \(answer.status) and \(answer.body.count) bytes; "
                    + "100 to 599 and at most 1 MiB can be")
        }
        try loan.use { api, exchange, _ in
            let status = answer.body.withUnsafeBufferPointer {
                api.http_answer(exchange, Int32(clamping: answer.status), $0.baseAddress, $0.count)
            }
            // A header that cannot be one is of no use to the library either.
            for (name, value) in answer.headers { _ = api.setHeader(of: exchange, answer: true, name, value) }
            return status
        }
    }

    /// Waits for those who use it, and lets nobody in any more.
    fileprivate func end() { loan.end() }

    /// The request was given up. A byte beyond the body is refused in any case, but for that reason first.
    fileprivate var isGivenUp: Bool {
        var (byte, got) = (UInt8(0), 0)
        do throws(Pan123Error) {
            try loan.use { api, exchange, error in api.http_read_body(exchange, .max, &byte, 1, &got, error) }
            return false
        } catch {
            return error.kind == .cancelled
        }
    }
}

/// An exchange, lent until the end.
private final class Loan: @unchecked Sendable {
    let api: cpan123_functions
    private let exchange: OpaquePointer
    private let isOver = Mutex(false)
    private let users = DispatchGroup()

    init(_ api: cpan123_functions, _ exchange: OpaquePointer) {
        self.api = api
        self.exchange = exchange
    }

    func use(
        _ body: (cpan123_functions, OpaquePointer, UnsafeMutablePointer<OpaquePointer?>) -> pan123_status
    ) throws(Pan123Error) {
        let isLent = isOver.withLock { isOver in
            if !isOver { users.enter() }
            return !isOver
        }
        guard isLent else { throw Pan123Error(.wrongState, "the request is over; it can be used until send returns") }
        defer { users.leave() }
        try api.check { error in body(api, exchange, error) }
    }

    func end() {
        isOver.withLock { $0 = true }
        users.wait()
    }
}

/// A transport with the requests that it is sending.
private final class Sending: Sendable {
    let transport: any Transport
    private let tasks = Mutex<[UInt: Task<Void, Never>]>([:])

    init(_ transport: any Transport) { self.transport = transport }

    func send(_ api: cpan123_functions, _ exchange: OpaquePointer) throws {
        let key = UInt(bitPattern: exchange)
        let request = TransportRequest(api, exchange)
        defer { request.end() }
        let sent = waiting { [transport] in
            try await transport.send(request)
        } started: { task in
            tasks.withLock { $0[key] = task }
            // It may have been given up before there was a task to cancel.
            if request.isGivenUp { task.cancel() }
        }
        _ = tasks.withLock { $0.removeValue(forKey: key) }
        try request.answer(try sent.get())
    }

    func interrupt(_ exchange: OpaquePointer) {
        tasks.withLock { $0[UInt(bitPattern: exchange)] }?.cancel()
    }
}

func handle(
    _ api: cpan123_functions, of transport: any Transport, over inner: Handle?
) throws(Pan123Error) -> Handle {
    var table = pan123_transport_vtable()
    table.h = head(of: pan123_transport_vtable.self, release: { Held<Sending>.release($0) })
    table.send = { context, exchange, error in
        let held = Held<Sending>.at(context)
        return held.answer(error, or: .network) {
            guard let exchange else { throw Pan123Error(.callback, "there is no request to send") }
            try held.object.send(held.api, exchange)
        }
    }
    table.interrupt = { context, exchange in
        if let exchange { Held<Sending>.at(context).object.interrupt(exchange) }
    }
    return try Handle(api, free: api.transport_free) { out, error in
        inner.lend { api.transport_new($0, &table, Held<Sending>.hold(Sending(transport), api), out, error) }
    }
}

extension cpan123_functions {
    fileprivate func headers(of exchange: OpaquePointer, answer: Bool) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        var value: UnsafePointer<CChar>?
        while let name = http_header(exchange, answer ? 1 : 0, headers.count, &value) {
            headers.append((String(cString: name), string(value) ?? ""))
        }
        return headers
    }

    fileprivate func setHeader(
        of exchange: OpaquePointer, answer: Bool, _ name: String, _ value: String
    ) -> pan123_status {
        name.lend { name, nameLength in
            value.lend { http_set_header(exchange, answer ? 1 : 0, name, nameLength, $0, $1) }
        }
    }

    fileprivate func answer(of exchange: OpaquePointer) -> TransportResponse {
        var length = 0
        let body = http_str(exchange, UInt32(PAN123_F_ANSWER_BODY), &length)
        return TransportResponse(
            status: Int(http_i64(exchange, UInt32(PAN123_F_HTTP_STATUS), 0)),
            headers: headers(of: exchange, answer: true),
            body: Array(UnsafeRawBufferPointer(start: body, count: length)))
    }
}
