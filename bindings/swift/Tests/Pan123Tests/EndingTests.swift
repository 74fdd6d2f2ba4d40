import Foundation
import Synchronization
import Testing

import Pan123

/// A script under which no slice is answered.
private let slicesHang = #"{"faults": [{"on": "slice", "do": "hang"}]}"#

extension Tests {
    /// Whatever happens, whoever waits is told.
    @Suite struct Ending {
        /// Kinds that make no sense from a callback, as they say how a call stands, or nothing at all.
        @Test func kindsThatOnlyTheLibrarySays() async throws {
            let emulator = try Emulator()
            let kinds: [Pan123Error.Kind] = [
                .timeout, .wrongState, .forked, .cancelled, .paused, .shutDown, .init(rawValue: 0), .init(rawValue: -7),
            ]
            for kind in kinds {
                let thrown = Pan123Error(kind, "the words of the callback")
                let source = try Source(Throwing(error: thrown))
                for bring in [
                    { (_: inout Configuration) in }, { $0.tokens = Throwing(error: thrown) },
                    { $0.transports = [Throwing(error: thrown)] },
                ] as [(inout Configuration) -> Void] {
                    var configuration = emulator.configuration()
                    configuration.retryFor = .milliseconds(100)
                    bring(&configuration)
                    let client = try Client(configuration)
                    let isSource = configuration.tokens == nil && configuration.transports.isEmpty
                    let error = try await failure {
                        try await client.upload(isSource ? source : Source([1, 2, 3]), as: "a")
                    }
                    #expect(error.message.contains("the words of the callback"), "\(kind): \(error)")
                    #expect([.source, .callback, .networkTimeout].contains(error.kind), "\(kind): \(error.kind)")
                }
            }
            #expect(try emulator.storedNames().isEmpty)
        }

        @Test func aCancelOfAPausedUpload() async throws {
            let emulator = try Emulator(faults: slicesHang)
            let upload = try await pausedUpload(emulator.client())
            let (events, updates) = (upload.events, upload.progressUpdates)
            upload.cancel()
            var seen: [UploadEvent] = []
            for await event in events { seen.append(event) }
            #expect(seen == [.cancelled])
            for await _ in updates {}
            let error = try await failure { try await upload.value }
            #expect(error.kind == .cancelled)
            let refused = try await failure { try upload.start() }
            #expect(refused.kind == .cancelled)
            for await event in upload.events { Issue.record("there is no news after the end: \(event)") }
        }

        /// The task that waits is cancelled while the upload is paused.
        @Test func aTaskThatWaitsForAPausedUpload() async throws {
            let emulator = try Emulator(faults: slicesHang)
            let upload = try await pausedUpload(emulator.client())
            let isCancelled = Gate()
            let task = Task {
                await isCancelled.opened()
                return try await upload.value
            }
            task.cancel()
            isCancelled.open()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
        }

        @Test func aShutdown() async throws {
            for cancel in [true, false] {
                let emulator = try Emulator(faults: slicesHang)
                let client = try emulator.client()
                let paused = try await pausedUpload(client)
                let new = try client.makeUpload(of: Source([1, 2, 3]), as: "new")
                let cancelled = try client.makeUpload(of: Source([1, 2, 3]), as: "cancelled")
                cancelled.cancel()
                let sequences = [paused, new].map { ($0.events, $0.progressUpdates) }
                try await client.shutdown(cancel: cancel)
                for (events, updates) in sequences {
                    for await _ in events {}
                    for await _ in updates {}
                }
                for upload in [paused, new] {
                    let (value, start) = (try await failure { try await upload.value }, try await failure { try upload.start() })
                    let stopped: Pan123Error.Kind = upload === new ? .shutDown : cancel ? .cancelled : .paused
                    #expect(value.kind == stopped && start.kind == .shutDown, "\(value.kind): \(value), \(start.kind): \(start)")
                    for await _ in upload.events {}
                }
                let earlier = try await failure { try await cancelled.value }
                #expect(earlier.kind == .cancelled, "\(earlier.kind): \(earlier)")
            }
        }

        /// Starts that are refused because it runs, while it comes to its end.
        @Test func startsThatComeTooLate() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            for number in 0..<60 {
                let upload = try client.makeUpload(of: Source(bytes(10, seed: UInt64(number + 3000))), as: "late-\(number)")
                let events = upload.events
                try upload.start()
                let isOver = Switch()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        while !isOver.isOn {
                            try? upload.start()
                            await Task.yield()
                        }
                    }
                    _ = try await upload.value
                    isOver.turnOn()
                    try await group.waitForAll()
                }
                for await _ in events {}
            }
        }

        /// Nobody wants a token any more: the task that is to get one is cancelled.
        @Test func tokensThatNobodyWants() async throws {
            let emulator = try Emulator()
            for shutsDown in [false, true] {
                let tokens = SlowTokens()
                var configuration = emulator.configuration()
                configuration.tokens = tokens
                let client = try Client(configuration)
                let task = Task { try await client.upload(Source(fiveSlices), as: "a", options: .init(duplicate: .replace)) }
                await tokens.isAsked.opened()
                if shutsDown {
                    try await client.shutdown()
                    await #expect(throws: (any Error).self) { _ = try await task.value }
                } else {
                    await checkCancel(task)
                }
                await tokens.wasCancelled.opened()
                // The next one is asked anew, and waits for nobody.
                if !shutsDown {
                    let stored = try await client.upload(Source(fiveSlices), as: "b")
                    #expect(stored.slices == 5)
                }
            }
        }

        /// Another upload still wants it.
        @Test func tokensThatSomebodyWants() async throws {
            let emulator = try Emulator()
            let tokens = SlowTokens()
            var configuration = emulator.configuration()
            configuration.tokens = tokens
            let client = try Client(configuration)
            let first = Task { try await client.upload(Source(fiveSlices), as: "a") }
            await tokens.isAsked.opened()
            let second = try client.makeUpload(of: Source(fiveSlices), as: "b")
            try second.start()
            await checkCancel(first)
            tokens.mayAnswer.open()
            let stored = try await second.value
            #expect(stored.slices == 5)
        }

        /// A transport with a time limit of its own.
        @Test func aForwardThatTakesTooLong() async throws {
            let emulator = try Emulator(faults: #"{"faults": [{"on": "create", "do": "hang"}]}"#)
            let watch = Watch()
            let transport = Limited(watch.isSending) { try await emulator.setFaults("{}") }
            var configuration = emulator.configuration()
            configuration.transports = [transport, watch]
            let stored = try await Client(configuration).upload(Source(fiveSlices), as: "a")
            #expect(stored.slices == 5 && emulator.holds(fiveSlices, "a"))
            let took = try #require(transport.took.withLock { $0 })
            #expect(took < promptly)
        }

        @Test func aBodyThatTakesTooLong() async throws {
            let emulator = try Emulator()
            let source = StuckLater()
            let transport = Reading(source: source)
            var configuration = emulator.configuration()
            configuration.transports = [transport]
            let client = try Client(configuration)
            let upload = try client.makeUpload(of: Source(source), as: "a")
            try upload.start()
            let took = await transport.took.value
            #expect(took < promptly)
            upload.cancel()
            source.letGo()
            try await client.shutdown()
        }

        /// The child has no thread that could tell it of an end.
        @Test func theChildOfAFork() async throws {
            typealias Fork = @convention(c) () -> pid_t
            // Swift hides it, with good reason.
            let fork = unsafeBitCast(try #require(dlsym(nil, "fork")), to: Fork.self)
            let emulator = try Emulator(faults: slicesHang)
            let upload = try emulator.client().makeUpload(of: Source(fiveSlices), as: "a")
            let updates = upload.progressUpdates
            try upload.start()
            for await now in updates where now.bytesSent > 0 { break }
            let child = fork()
            if child == 0 {
                alarm(10)
                do {
                    _ = try await upload.value
                } catch let error as Pan123Error where error.kind == .forked {
                    _exit(7)
                } catch {}
                _exit(1)
            }
            var status: Int32 = 0
            while waitpid(child, &status, 0) == -1 && errno == EINTR {}
            #expect(status == 7 << 8)
            upload.cancel()
        }

        @Test func bytesThatDiffer() async throws {
            struct Noise: ByteSource {
                let size: UInt64 = 3_000_000
                let times = Times()

                func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
                    buffer.initializeMemory(as: UInt8.self, repeating: times.next())
                    return buffer.count
                }
            }
            let emulator = try Emulator()
            let error = try await failure { try await emulator.client().upload(Source(Noise()), as: "a") }
            #expect(error.kind == .sourceChanged, "\(error.kind): \(error)")
        }

        /// Who asks after the end is told the end.
        @Test func progressAfterTheEnd() async throws {
            let emulator = try Emulator()
            let upload = try emulator.client().makeUpload(of: Source(fiveSlices), as: "a")
            try upload.start()
            _ = try await upload.value
            for _ in 0..<2 {
                var seen: [UploadProgress] = []
                for await now in upload.progressUpdates { seen.append(now) }
                #expect(seen.map(\.fraction) == [1])
            }
        }

        private func pausedUpload(_ client: Client) async throws -> Upload {
            let upload = try client.makeUpload(of: Source(fiveSlices), as: "paused")
            let updates = upload.progressUpdates
            try upload.start()
            for await now in updates where now.bytesSent > 0 { break }
            upload.pause()
            let error = try await failure { try await upload.value }
            try #require(error.kind == .paused)
            return upload
        }
    }
}

/// Anything that a program can bring, and that throws.
private struct Throwing: ByteSource, TokenProvider, Transport {
    let error: Pan123Error
    var size: UInt64 { 10 }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int { throw error }
    func token(refused: String?) async throws -> Token { throw error }
    func send(_ request: TransportRequest) async throws -> TransportResponse { throw error }
}

private final class Switch: Sendable {
    private let state = Atomic(false)
    var isOn: Bool { state.load(ordering: .relaxed) }
    func turnOn() { state.store(true, ordering: .relaxed) }
}

/// Counts.
private final class Times: Sendable {
    private let count = Atomic<UInt8>(0)
    func next() -> UInt8 { count.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// The first token takes until it may come, or is cancelled.
private final class SlowTokens: TokenProvider {
    let (isAsked, mayAnswer, wasCancelled) = (Gate(), Gate(), Gate())
    private let isFirst = Atomic(true)

    func token(refused: String?) async throws -> Token {
        if isFirst.exchange(false, ordering: .relaxed) {
            isAsked.open()
            await withTaskCancellationHandler {
                await mayAnswer.opened()
            } onCancel: {
                wasCancelled.open()
            }
            try Task.checkCancellation()
        }
        return Token(Emulator.token)
    }
}

/// Lets the first request be on its way, gives it up, and measures how long that takes.
private final class Limited: Transport {
    let took = Mutex<Duration?>(nil)
    private let isFirst = Atomic(true)
    private let isSending: Gate
    private let givenUp: @Sendable () async throws -> Void

    init(_ isSending: Gate, _ givenUp: @escaping @Sendable () async throws -> Void) {
        (self.isSending, self.givenUp) = (isSending, givenUp)
    }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        guard isFirst.exchange(false, ordering: .relaxed) else { return try await request.forward() }
        let forward = Task { try await request.forward() }
        await isSending.opened()
        let start = ContinuousClock.now
        forward.cancel()
        await #expect(throws: CancellationError.self) { _ = try await forward.value }
        took.withLock { $0 = ContinuousClock.now - start }
        try await givenUp()
        throw Pan123Error(.networkTimeout, "the transport's own time is over")
    }
}

/// Reads as it should until its bytes were hashed, and then not at all until it is let go.
private final class StuckLater: ByteSource {
    let size: UInt64 = 3_000_000
    let isStuck = Gate()
    private let sent = Atomic(0)
    private let mayGo = DispatchSemaphore(value: 0)

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        // It is hashed twice: the emulator's slices are not those that were expected.
        if sent.add(buffer.count, ordering: .relaxed).oldValue >= 2 * Int(size) {
            isStuck.open()
            mayGo.wait()
            mayGo.signal()
        }
        buffer.initializeMemory(as: UInt8.self, repeating: 1)
        return buffer.count
    }

    func letGo() { mayGo.signal() }
}

/// Gives up reading the first body that is stuck, and measures how long that takes.
private final class Reading: Transport {
    let took: Task<Duration, Never>
    private let source: StuckLater
    private let body: AsyncStream<Task<[UInt8], any Error>>.Continuation

    init(source: StuckLater) {
        self.source = source
        let (bodies, body) = AsyncStream.makeStream(of: Task<[UInt8], any Error>.self)
        self.body = body
        took = Task {
            var first = bodies.makeAsyncIterator()
            guard let reading = await first.next() else { return .seconds(1000) }
            await source.isStuck.opened()
            let start = ContinuousClock.now
            reading.cancel()
            await #expect(throws: CancellationError.self) { _ = try await reading.value }
            return ContinuousClock.now - start
        }
    }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        guard request.url.hasSuffix("/slice") else { return try await request.forward() }
        let reading = Task { try await request.body() }
        body.yield(reading)
        _ = try await reading.value
        return try await request.forward()
    }
}
