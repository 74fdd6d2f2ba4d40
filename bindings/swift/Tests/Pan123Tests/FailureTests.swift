import Foundation
import Testing

import Pan123

extension Tests {
    /// Errors that callbacks throw come out as they are.
    @Suite struct Failures {
        private struct Mine: LocalizedError, Equatable {
            let number: Int
            let says: String
            var errorDescription: String? { says }
        }

        @Test func whateverTheySay() async throws {
            let emulator = try Emulator()
            let said = [
                "the archive is damaged", "", "one\ntwo\r\n", "a\u{0}b", "\u{1b}[31mred\u{1b}[0m", "  padded  ", "\u{301}acute",
                String(repeating: "long ", count: 20_000), "Authorization: Bearer abcdefghijk", "sent \(Emulator.token)", "<1a2b3c4d 7> ",
            ]
            for (number, says) in said.enumerated() {
                let mine = Mine(number: number, says: says)
                let torn = try Source(Torn(mine))
                let client = try emulator.client()
                var configuration = emulator.configuration()
                configuration.transports = [Broken(mine)]
                let offline = try Client(configuration)
                configuration = Configuration(tokens: Vault(mine))
                configuration.baseURL = emulator.baseURL
                let locked = try Client(configuration)
                configuration = emulator.configuration()
                configuration.store = Shelf(mine)
                let forgetful = try Client(configuration)
                let errors = [
                    try await failure { try await torn.digests() },
                    try await failure { try await client.upload(torn, as: "a") },
                    try await failure {
                        try await client.uploadSingle(torn, as: "a", etag: md5([1]), to: client.uploadHosts()[0])
                    },
                    try await failure { try await offline.uploadHosts() },
                    try await failure { try await locked.token() },
                    try await failure { try await locked.upload(Source([1, 2, 3]), as: "b") },
                    try await failure { try await forgetful.upload(Source(Fine()), as: "c", options: UploadOptions(resumeKey: "c")) },
                ]
                for (place, error) in errors.enumerated() {
                    #expect(error.underlyingError as? Mine == mine, "\(place): \(error.message.prefix(300))")
                    let texts = [error.message, error.serviceMessage ?? "", error.advice ?? ""]
                    #expect(!texts.joined().unicodeScalars.contains { $0.value < 0x20 }, "\(place): \(error.message.prefix(300))")
                    #expect(texts.allSatisfy { !$0.contains("Mine") && (!$0.contains("<") || says.contains("<")) }, "\(place): \(error.message.prefix(300))")
                    if number == 0 { #expect(error.message.contains(says), "\(place): \(error)") }
                }
            }
        }

        @Test func eachUploadHasItsOwn() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let uploads = try (0..<4).map { number in
                try client.makeUpload(of: Source(Torn(Mine(number: number, says: "the same"))), as: "\(number)")
            }
            let events = uploads.map(\.events)
            for upload in uploads { try upload.start() }
            for (number, upload) in uploads.enumerated() {
                let error = try await failure { try await upload.value }
                #expect((error.underlyingError as? Mine)?.number == number, "\(error)")
                for await event in events[number] {
                    if case .failed(_, let message) = event { #expect(message == error.message) }
                }
            }
        }

        /// It is kept however much fails after it.
        @Test func longAgo() async throws {
            let emulator = try Emulator()
            let source = try Source(Torn(Mine(number: 1, says: "torn")))
            let upload = try emulator.client().makeUpload(of: source, as: "a")
            let events = upload.events
            try upload.start()
            for await _ in events {}
            for _ in 0..<300 { _ = try await failure { try await source.digests() } }
            let error = try await failure { try await upload.value }
            #expect(error.underlyingError is Mine, "\(error)")
        }

        /// What reads the body gets the source's error, and passes it on.
        @Test func throughATransport() async throws {
            struct Reading: Transport {
                let torn: Source
                func send(_ request: TransportRequest) async throws -> TransportResponse {
                    if request.bodyLength > 0 { _ = try await torn.digests() }
                    return try await request.forward()
                }
            }
            let emulator = try Emulator()
            let mine = Mine(number: 1, says: "torn")
            var configuration = emulator.configuration()
            configuration.transports = [Reading(torn: try Source(Torn(mine)))]
            let client = try Client(configuration)
            let error = try await failure { try await client.create("a", etag: md5([1]), size: 1) }
            #expect(error.kind == .source && error.underlyingError as? Mine == mine && !error.message.contains("<"), "\(error)")
        }

        @Test func wordsOfOtherErrors() async throws {
            enum Plain: Error { case torn }
            let cases: [(any Error, String)] = [
                (Plain.torn, "torn"), (CocoaError(.fileNoSuchFile), "doesn’t exist"),
                (NSError(domain: "d", code: 3, userInfo: [NSLocalizedDescriptionKey: "my own words"]), "my own words"),
                (Pan123Error(.source, "the archive is torn"), "the archive is torn"),
            ]
            for (thrown, says) in cases {
                let error = try await failure { try await Source(Torn(thrown)).digests() }
                #expect(error.kind == .source && error.message.contains(says), "\(error)")
                #expect(try type(of: #require(error.underlyingError)) == type(of: thrown))
            }
            let emulator = try Emulator()
            let own = try await failure { try await emulator.client().upload(Source([1]), as: "a/b") }
            #expect(own.underlyingError == nil, "\(own)")
        }

        /// They are kept no longer than what threw them.
        @Test func goWithTheirObject() async throws {
            final class Large: Error, Sendable {
                let gone: Gate
                init(_ gone: Gate) { self.gone = gone }
                deinit { gone.open() }
            }
            let gone = Gate()
            do {
                let error = try await failure { try await Source(Torn(Large(gone))).digests() }
                #expect(error.underlyingError is Large)
            }
            await gone.opened()
        }
    }
}

private struct Torn: ByteSource {
    let size: UInt64 = 1000
    let error: any Error
    init(_ error: any Error) { self.error = error }
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int { throw error }
}

private struct Fine: ByteSource {
    let size: UInt64 = 1000
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        buffer.initializeMemory(as: UInt8.self, repeating: 1)
        return buffer.count
    }
}

private struct Broken: Transport {
    let error: any Error
    init(_ error: any Error) { self.error = error }
    func send(_ request: TransportRequest) async throws -> TransportResponse { throw error }
}

private struct Vault: TokenProvider {
    let error: any Error
    init(_ error: any Error) { self.error = error }
    func token(refused: String?) async throws -> Token { throw error }
}

private struct Shelf: ResumeStore {
    let error: any Error
    init(_ error: any Error) { self.error = error }
    func load(_ key: String) throws -> [UInt8]? { throw error }
    func save(_ bytes: [UInt8], for key: String) throws { throw error }
    func remove(_ key: String) throws { throw error }
}
