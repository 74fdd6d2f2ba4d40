import Foundation
import Synchronization
import Testing

import Pan123

extension Tests {
    /// What a program can bring, and what becomes of its errors.
    @Suite struct Callbacks {
        @Test func aRefusedTokenIsReplaced() async throws {
            let provider = Tokens(["some-wrong-token", Emulator.token])
            let emulator = try Emulator()
            var configuration = Configuration(tokens: provider)
            configuration.baseURL = emulator.baseURL
            let client = try Client(configuration)
            let stored = try await client.upload(file: emulator.file(fiveSlices))
            #expect(stored.slices == 5 && emulator.holds(fiveSlices, "film.mkv"))
            #expect(provider.refused.contains("some-wrong-token"))
            let token = try await client.token()
            #expect(token.value == Emulator.token)
            #expect(token.expires == Date(timeIntervalSince1970: 4_102_444_800))
            #expect(!"\(token) \(String(reflecting: token))".contains(Emulator.token))
        }

        @Test func anErrorOfTheTokenProvider() async throws {
            struct Locked: Error, CustomStringConvertible {
                let description = "the vault is locked"
            }
            struct Vault: TokenProvider {
                func token(refused: String?) async throws -> Token { throw Locked() }
            }
            let emulator = try Emulator()
            var configuration = Configuration(tokens: Vault())
            configuration.baseURL = emulator.baseURL
            let client = try Client(configuration)
            let error = try await failure { try await client.token() }
            #expect(error.kind == .login && error.message.contains("the vault is locked"), "\(error)")
            let upload = try await failure { try await client.upload(file: emulator.file(fiveSlices)) }
            #expect(upload.kind == .login && upload.message.contains("the vault is locked"), "\(upload)")
            #expect(try await emulator.count("create") == 0)
        }

        @Test func errorsOfASource() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let broken = try Source(Bytes { _, _ in throw Pan123Error(.source, "the archive is torn") })
            for error in [
                try await failure { try await client.upload(broken, as: "a") }, try await failure { try await broken.digests() },
            ] {
                #expect(error.kind == .source && error.message.contains("the archive is torn"), "\(error)")
            }
            let own = try Source(Bytes { _, _ in throw Pan123Error(.sourceChanged, "the archive was repacked") })
            let changed = try await failure { try await own.digests() }
            #expect(changed.kind == .sourceChanged && changed.message.contains("repacked"), "\(changed.kind): \(changed)")
            let long = try Source(Bytes { _, buffer in buffer.count + 1 })
            let impossible = try await failure { try await long.digests() }
            #expect(impossible.kind == .callback && impossible.message.contains("read(at:into:)"), "\(impossible.kind): \(impossible)")
            let short = try Source(Bytes { _, _ in 0 })
            let ended = try await failure { try await short.digests() }
            #expect(ended.kind == .sourceChanged, "\(ended.kind): \(ended)")
            #expect(try await emulator.count("create") == 0)
        }

        @Test func aSourceThatChanges() async throws {
            struct Changing: ByteSource {
                let size = UInt64(fiveSlices.count)
                let times = Counter()

                func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
                    buffer.copyBytes(from: fiveSlices[Int(offset)...].prefix(buffer.count))
                    return buffer.count
                }
                func state() -> SourceState { SourceState(identity: 1, changed: Int64(times.next())) }
            }
            let emulator = try Emulator()
            let client = try emulator.client()
            let error = try await failure { try await client.upload(Source(Changing()), as: "a") }
            #expect(error.kind == .sourceChanged, "\(error)")
            #expect(try emulator.storedNames().isEmpty)
        }

        @Test func aStoreOfOnesOwn() async throws {
            let store = Memory()
            let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "slice_no": "3..", "do": "hang"}]}"#)
            let file = try emulator.file(fiveSlices)
            var configuration = emulator.configuration()
            configuration.store = store
            do {
                let client = try Client(configuration)
                let upload = try client.makeUpload(of: Source(path: file), as: "film.mkv")
                let events = upload.events
                try upload.start()
                var count = 0
                for await case .slice in events {
                    count += 1
                    if count == 2 { break }
                }
                upload.cancel()
                _ = try await failure { try await upload.value }
                try await client.shutdown()
            }
            #expect(store.count == 1)
            try await emulator.setFaults("{}")
            _ = try await Client(configuration).upload(file: file)
            #expect(emulator.holds(fiveSlices, "film.mkv"))
            #expect(try await emulator.slices().filter { $0 <= 2 } == [1, 2])
            #expect(store.count == 0, "what is done is forgotten")
        }

        /// Layers: the first sees requests first; a request can be used until send returns.
        @Test func layers() async throws {
            let emulator = try Emulator()
            let (outer, inner) = (Layer("outer"), Layer("inner"))
            var configuration = emulator.configuration()
            configuration.transports = [outer, inner]
            _ = try await Client(configuration).upload(file: emulator.file(fiveSlices))
            #expect(emulator.holds(fiveSlices, "film.mkv"))
            let agents = Set(try await emulator.requests().filter { $0.endpoint != nil }.map(\.user_agent))
            #expect(agents == ["inner"])
            #expect(outer.seen.count == 7 && inner.seen.count == 7)
            #expect(outer.seen.allSatisfy { $0.answer?.status == 200 && $0.answer?.body.isEmpty == false })
            let kept = try #require(outer.seen.first).request
            #expect(kept.method == "POST" && kept.url.hasPrefix("http://127.0.0.1:") && kept.bodyLength > 0)
            #expect(kept.timeout > .zero)
            let late = try await failure { try await kept.forward() }
            #expect(late.kind == .wrongState)
            #expect(throws: Pan123Error.self) { try kept.setHeader("a", "b") }
        }

        @Test func errorsOfATransport() async throws {
            struct Broken: Transport {
                let error: any Error
                func send(_ request: TransportRequest) async throws -> TransportResponse { throw error }
            }
            struct Odd: Transport {
                func send(_ request: TransportRequest) async -> TransportResponse {
                    TransportResponse(status: 200, headers: [("bad name", "x")], body: Array("<html>".utf8))
                }
            }
            struct Impossible: Transport {
                func send(_ request: TransportRequest) async -> TransportResponse { TransportResponse(status: 7) }
            }
            let cases: [(any Transport, Pan123Error.Kind, String)] = [
                (Broken(error: POSIXError(.ENETDOWN)), .network, "Network is down"),
                (Broken(error: Pan123Error(.tls, "the certificate is not ours")), .tls, "not ours"),
                (Odd(), .protocol, ""),
                (Impossible(), .protocol, "status 7"),
            ]
            let emulator = try Emulator()
            for (transport, kind, text) in cases {
                var configuration = emulator.configuration()
                configuration.transports = [transport]
                let client = try Client(configuration)
                let error = try await failure { try await client.uploadHosts() }
                #expect(error.kind == kind && (text.isEmpty || error.message.contains(text)), "\(error)")
            }
        }

        @Test func configurationsThatCannotBe() async throws {
            let login = Configuration.Login(clientID: "id", secret: "secret")
            let day = "must be 1 to 86400000"
            for (spoil, says) in [
                ({ (c: inout Configuration) in c.slicesInFlight = -1 }, "slicesInFlight is -1, "),
                ({ $0.slicesInFlight = 65 }, "slicesInFlight is 65; it must be 0 to 64"),
                ({ $0.progressInterval = .milliseconds(1) }, "progressInterval in milliseconds is 1; it must be 10 to "),
                ({ $0.retryFor = .seconds(-1) }, "retryFor is -1"), ({ $0.retryFor = .seconds(86401) }, "retryFor in milliseconds is 86401000; "),
                ({ $0.sourceTimeout = .zero }, "sourceTimeout in milliseconds is 0; it \(day)"),
                ({ $0.sourceTimeout = .microseconds(900) }, "sourceTimeout in milliseconds is 0; it \(day)"),
                ({ $0.baseURL = "ftp://a" }, "baseURL: "), ({ $0.baseURL = "" }, "baseURL is empty"),
                ({ $0.userAgent = "a\u{0}b" }, "userAgent has a NUL"), ({ $0.userAgent = "ä" }, "userAgent is not visible ASCII"),
                ({ $0.stateDirectory = "" }, "stateDirectory is empty"), ({ $0.proxy = "" }, "proxy is empty"),
                ({ $0.certificates = "" }, "certificates is empty"),
                ({ $0.certificates = "/no/base_url.pem" }, "certificates /no/base_url.pem: "), ({ $0.tokenCache = "" }, "tokenCache is empty"),
                ({ $0.accessToken = nil }, "give accessToken, or login, or tokens"), ({ $0.login = login }, "give accessToken, or login, but not both"),
                ({ ($0.accessToken, $0.refreshToken) = (nil, "r") }, "refreshToken needs login"),
                ({ ($0.accessToken, $0.refreshToken, $0.login) = (nil, "r", login) }, "refreshToken needs tokenCache, "),
            ] as [((inout Configuration) -> Void, String)] {
                var configuration = Configuration(accessToken: "token")
                spoil(&configuration)
                let error = try await failure { try Client(configuration) }
                #expect(error.kind == .invalidArgument && error.message.contains(says), "\(error.kind): \(error)")
            }
            for wrong in ["a\nb", ""] {
                let error = try await failure { try Client(accessToken: wrong) }
                #expect(error.kind == .login && error.message.contains("access token"), "\(error.kind): \(error)")
            }
        }

        @Test func argumentsThatCannotBe() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let source = try Source([1])
            let folder = try await failure { try client.makeUpload(of: source, as: "a", in: -1) }
            #expect(folder.message.contains("folder is -1; "), "\(folder)")
            let key = try await failure {
                try client.makeUpload(of: source, as: "a", options: UploadOptions(resumeKey: ""))
            }
            #expect(key.message.contains("resumeKey is empty"), "\(key)")
            let created = try await failure { try await client.create("a", in: -1, etag: md5([1]), size: 1) }
            #expect(created.message.contains("folder"), "\(created)")
        }

        /// Zero and nothing, where they mean something.
        @Test func nothingAtAll() async throws {
            let emulator = try Emulator()
            var configuration = emulator.configuration()
            (configuration.slicesInFlight, configuration.bytesPerSecond, configuration.userAgent) = (0, 0, "")
            try await Client(configuration).upload(file: emulator.file(fiveSlices))
            #expect(emulator.holds(fiveSlices, "film.mkv"))
            let agents = Set(try await emulator.requests().filter { $0.endpoint != nil }.map { $0.user_agent ?? "" })
            #expect(agents == [""])
            struct Down: Transport {
                let times = Counter()
                func send(_ request: TransportRequest) async throws -> TransportResponse {
                    _ = times.next()
                    throw Pan123Error(.network, "down")
                }
            }
            let down = Down()
            (configuration.retryFor, configuration.transports) = (.zero, [down])
            let client = try Client(configuration)
            let error = try await failure { try await client.upload(Source([1]), as: "a") }
            #expect(error.kind == .network && down.times.next() == 2, "\(error)")
        }
    }

    @Suite struct Calls {
        @Test func secretsStandInNoDescription() {
            var configuration = Configuration(clientID: "the-id", secret: "some-secret")
            configuration.accessToken = "some-secret"
            configuration.refreshToken = "some-secret"
            let said = "\(configuration) \(String(reflecting: configuration)) \(configuration.login!)"
            #expect(!said.contains("some-secret") && said.contains("the-id"))
            var dumped = ""
            dump(configuration, to: &dumped)
            dump(configuration.login, to: &dumped)
            #expect(!dumped.contains("some-secret"))
        }

        @Test func hashing() async throws {
            let small = Array("hello, slices".utf8)
            let sources = try [Source(small), Source(Data(fiveSlices))]
            let digests = try await Source.digests(of: sources, sliceSize: UInt64(mebibyte), sha1: true)
            #expect(digests[0].etag == (try md5(small)) && digests[0].slices == [digests[0].etag])
            #expect(digests[1].etag == (try fiveSlicesMD5.get()) && digests[1].slices.count == 5)
            #expect(digests[1].sha1?.count == 40 && digests[1].size == UInt64(fiveSlices.count))
            let usual = try await sources[1].digests()
            #expect(usual.sha1 == nil && usual.sliceSize == 16 << 20 && usual.slices == [usual.etag])
            let none = try await Source.digests(of: [])
            #expect(none.isEmpty)
        }

        @Test func singleFile() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let source = try Source(fiveSlices)
            let servers = try await client.uploadHosts()
            #expect(servers.count == 2)
            let etag = try fiveSlicesMD5.get()
            let id = try await client.uploadSingle(source, as: "a/b.bin", etag: etag, to: servers[0], options: UploadOptions(nameIsPath: true))
            #expect(id != nil && emulator.holds(fiveSlices, "a/b.bin"))
            guard case .reused(let reused) = try await client.create("c.bin", etag: etag, size: UInt64(fiveSlices.count))
            else { throw Unexpected(what: "the service has these bytes") }
            #expect(reused > 0 && emulator.holds(fiveSlices, "c.bin"))
        }

        @Test func urls() async throws {
            let emulator = try Emulator()
            let file = URL(fileURLWithPath: try emulator.file(fiveSlices, "five slices.mkv"))
            try await emulator.client().upload(file: file)
            #expect(emulator.holds(fiveSlices, "five slices.mkv"))
            let (digests, expected) = (try await Source(url: file).digests(), try fiveSlicesMD5.get())
            #expect(digests.etag == expected)
            let page = try #require(URL(string: "https://example.com/film.mkv"))
            let error = try await failure { try Source(url: page) }
            #expect(error.kind == .invalidArgument && error.message.contains("https://example.com/film.mkv"), "\(error)")
        }

        @Test func kindsAndStagesHaveNames() {
            #expect("\(Pan123Error.Kind.sourceChanged) \(Pan123Error.Kind(rawValue: 4711))" == "sourceChanged kind 4711")
            #expect("\(UploadStage.sending) \(UploadStage(rawValue: 99))" == "sending stage 99")
        }

        @Test func namesThatAreTaken() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let first = try await client.upload(Source([1, 2, 3]), as: "a")
            let refused = try await failure { try await client.upload(Source([4, 5, 6]), as: "a") }
            #expect(refused.kind == .refused && refused.serviceCode != nil && refused.traceID != nil, "\(refused)")
            let both = try await client.upload(Source([4, 5, 6]), as: "a", options: UploadOptions(duplicate: .keepBoth))
            #expect(both.fileID != first.fileID && emulator.holds([1, 2, 3], "a"))
            _ = try await client.upload(Source([7]), as: "a", options: UploadOptions(duplicate: .replace))
            #expect(emulator.holds([7], "a"))
        }

        @Test func afterShutdown() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            try await client.shutdown()
            try await client.shutdown()
            let error = try await failure { try await client.uploadHosts() }
            #expect(error.kind == .shutDown)
            #expect(throws: Pan123Error.self) { try client.makeUpload(of: Source([1]), as: "a") }
        }
    }
}

/// A source of 1000 bytes that reads as it is told.
private struct Bytes: ByteSource {
    let size: UInt64 = 1000
    let reading: @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Int

    init(_ reading: @escaping @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Int) { self.reading = reading }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try reading(offset, buffer) }
}

private final class Counter: Sendable {
    private let count = Atomic(0)
    func next() -> Int { count.add(1, ordering: .relaxed).newValue }
}

/// Gives the first token until it is refused, then the next.
private final class Tokens: TokenProvider {
    private let state: Mutex<(tokens: [String], refused: [String])>
    init(_ tokens: [String]) { state = Mutex((tokens, [])) }

    var refused: [String] { state.withLock { $0.refused } }

    func token(refused: String?) async throws -> Token {
        await Task.yield()
        return state.withLock { state in
            if let refused {
                state.refused.append(refused)
                if state.tokens.first == refused { state.tokens.removeFirst() }
            }
            return Token(state.tokens[0], expires: Date(timeIntervalSince1970: 4_102_444_800))
        }
    }
}

private final class Memory: ResumeStore {
    private let entries = Mutex<[String: [UInt8]]>([:])

    var count: Int { entries.withLock { $0.count } }

    func load(_ key: String) -> [UInt8]? { entries.withLock { $0[key] } }
    func save(_ bytes: [UInt8], for key: String) { entries.withLock { $0[key] = bytes } }
    func remove(_ key: String) { entries.withLock { _ = $0.removeValue(forKey: key) } }
}

/// Gives its name to the requests that go through it, and keeps them.
private final class Layer: Transport {
    private let name: String
    private let kept = Mutex<[(request: TransportRequest, answer: TransportResponse?)]>([])

    init(_ name: String) { self.name = name }

    var seen: [(request: TransportRequest, answer: TransportResponse?)] { kept.withLock { $0 } }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        try request.setHeader("User-Agent", name)
        let answer = try await request.forward()
        kept.withLock { $0.append((request, answer)) }
        return answer
    }
}
