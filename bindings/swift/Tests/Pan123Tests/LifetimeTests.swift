import Foundation
import Testing

import Pan123

extension Tests {
    /// Who lets go of what, and what is left of it.
    @Suite struct Lifetimes {
        @Test func aDroppedUploadGoesOn() async throws {
            let emulator = try Emulator()
            let events: AsyncStream<UploadEvent>
            do {
                let upload = try emulator.client().makeUpload(of: Source(fiveSlices), as: "film.mkv")
                events = upload.events
                try upload.start()
            }
            var last: UploadEvent?
            for await event in events { last = event }
            guard case .completed = last else { throw Unexpected(what: "the last event is \(String(describing: last))") }
            #expect(emulator.holds(fiveSlices, "film.mkv"))
        }

        @Test func anUploadThatWasNeverStarted() async throws {
            let emulator = try Emulator()
            let gone = Gate()
            do {
                let client = try emulator.client()
                _ = try client.makeUpload(of: Source(Owned(gone)), as: "film.mkv")
            }
            await gone.opened()
            #expect(try await emulator.count("create") == 0)
        }

        /// What a program brings is let go of when the library needs it no more, in whatever order that happens.
        @Test func whatAProgramBrings() async throws {
            let emulator = try Emulator()
            let (source, tokens, transport, store) = (Gate(), Gate(), Gate(), Gate())
            do {
                var configuration = emulator.configuration()
                configuration.accessToken = nil
                configuration.tokens = Owned(tokens)
                configuration.transports = [Owned(transport)]
                configuration.store = Owned(store)
                let client = try Client(configuration)
                configuration = Configuration()
                let stored = try await client.upload(Source(Owned(source)), as: "a")
                #expect(stored.size == 1000)
            }
            await source.opened()
            await tokens.opened()
            await transport.opened()
            await store.opened()
            // A client that cannot be made lets go of everything too.
            let (more, late) = (Gate(), Gate())
            var configuration = Configuration(tokens: Owned(more))
            configuration.transports = [Owned(late)]
            configuration.baseURL = "ftp://nowhere"
            let made = try? Client(configuration)
            #expect(made == nil)
            configuration = Configuration()
            await more.opened()
            await late.opened()
        }

        /// Threads and file descriptors are as many as before.
        @Test func nothingIsLeft() async throws {
            let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "slice_no": 5, "do": "hang"}]}"#)
            func round(_ number: UInt64) async throws {
                let client = try emulator.client()
                let content = bytes(3 * mebibyte, seed: 1000 + number)
                let done = try await client.upload(Source(content), as: "done-\(number)")
                #expect(done.slices == 3)
                let left = try client.makeUpload(of: Source(fiveSlices), as: "left-\(number)")
                let events = left.events
                try left.start()
                for await case .slice in events { break }
                _ = try await Source(content).digests()
                if number % 2 == 0 {
                    let waiting = Task { try await left.value }
                    await checkCancel(waiting)
                }
                try await client.shutdown()
            }
            try await round(0)
            // Clients of the tests before may still be ending.
            try await noThreadsOfOurs()
            let before = Set(try openDescriptors())
            for number in 1...10 { try await round(UInt64(number)) }
            try await nothing { try openDescriptors().filter { !before.contains($0) } }
            try await noThreadsOfOurs()
        }

        /// Clients that are dropped without a word end by themselves.
        @Test func droppedClients() async throws {
            let emulator = try Emulator()
            for number in 0..<5 {
                let client = try emulator.client()
                _ = try await client.upload(Source(bytes(mebibyte, seed: UInt64(2000 + number))), as: "a\(number)")
            }
            try await noThreadsOfOurs()
        }

        /// What each open file descriptor is.
        private func openDescriptors() throws -> [String] {
            let files = FileManager.default
            // That of the folder being listed is gone by now.
            return try files.contentsOfDirectory(atPath: "/proc/self/fd").sorted().compactMap { descriptor in
                let what = try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
                return what.map { "\(descriptor): \($0)" }
            }
        }

        /// There is no thread of the library, nor of a call.
        private func noThreadsOfOurs() async throws {
            try await nothing { try threadNames().filter { $0.hasPrefix("pan123-") } }
        }

        /// Looks until nothing is left: a thread needs a moment to end after the last thing it did, and lets go then.
        private func nothing(_ left: () throws -> [String]) async throws {
            let end = ContinuousClock.now + .seconds(10)
            while try !left().isEmpty && ContinuousClock.now < end { await Task.yield() }
            let names = try left()
            #expect(names.isEmpty)
        }

        private func threadNames() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap { thread in
                try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8)
            }
        }
    }
}

/// Anything a program can bring; opens its gate when it is let go of.
private final class Owned: ByteSource, TokenProvider, Transport, ResumeStore {
    private let gone: Gate

    init(_ gone: Gate) { self.gone = gone }

    deinit { gone.open() }

    let size: UInt64 = 1000

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        buffer.initializeMemory(as: UInt8.self, repeating: 7)
        return buffer.count
    }

    func token(refused: String?) -> Token { Token(Emulator.token) }
    func send(_ request: TransportRequest) async throws -> TransportResponse { try await request.forward() }
    func load(_ key: String) -> [UInt8]? { nil }
    func save(_ bytes: [UInt8], for key: String) {}
    func remove(_ key: String) {}
}
