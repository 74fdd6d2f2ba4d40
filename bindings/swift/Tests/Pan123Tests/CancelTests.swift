import Foundation
import Synchronization
import Testing

import Pan123

/// Cancelled is whatever is cancelled, within this time.
let promptly = Duration.milliseconds(250)

/// Cancels a task, and checks that it ends in time and as a cancelled task should.
func checkCancel<T: Sendable>(_ task: Task<T, any Error>, _ comment: Comment? = nil) async {
    let start = ContinuousClock.now
    task.cancel()
    await #expect(throws: CancellationError.self, comment) { _ = try await task.value }
    let took = ContinuousClock.now - start
    #expect(took < promptly, comment)
}

extension Tests {
    @Suite struct Cancelling {
        @Test func beforeItStarts() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let file = try emulator.file(fiveSlices)
            let isCancelled = Gate()
            let task = Task {
                await isCancelled.opened()
                return try await client.upload(file: file)
            }
            task.cancel()
            isCancelled.open()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(try await emulator.count("create") == 0)

            let upload = try client.makeUpload(of: Source(path: file), as: "film.mkv")
            let (early, updates) = (upload.events, upload.progressUpdates)
            upload.cancel()
            #expect(throws: Pan123Error.self) { try upload.start() }
            let error = try await failure { try await upload.value }
            #expect(error.kind == .cancelled)
            // Nobody waits for news that cannot come.
            for await _ in early {}
            for await _ in updates {}
            for await _ in upload.events {}
        }

        /// A source whose read does not return holds up nobody but its own thread.
        @Test func aSourceThatDoesNotReturn() async throws {
            let emulator = try Emulator()
            let client = try emulator.client()
            let source = StuckSource()
            let upload = try Source(source)
            let uploading = Task { try await client.upload(upload, as: "stuck.bin") }
            let hashing = Task { try await upload.digests() }
            await source.isReading.opened()
            await checkCancel(uploading, "upload")
            await checkCancel(hashing, "digests")
            source.letGo()
            try await client.shutdown()
        }

        @Test func tokensThatDoNotCome() async throws {
            let emulator = try Emulator()
            let provider = StuckTokens()
            var configuration = emulator.configuration()
            configuration.tokens = provider
            let client = try Client(configuration)
            let file = try emulator.file(fiveSlices)
            let uploading = Task { try await client.upload(file: file) }
            await provider.isAsked.opened()
            await checkCancel(uploading)
            provider.answer.open()
            try await client.shutdown()
        }

        /// The task of the transport is cancelled with the request.
        @Test func aTransportThatDoesNotAnswer() async throws {
            let emulator = try Emulator()
            let transport = StuckTransport()
            var configuration = emulator.configuration()
            configuration.transports = [transport]
            let client = try Client(configuration)
            let file = try emulator.file(fiveSlices)
            let uploading = Task { try await client.upload(file: file) }
            await transport.isAsked.opened()
            await checkCancel(uploading)
            await transport.wasCancelled.opened()
            try await client.shutdown()
        }

        @Test func singleCalls() async throws {
            let emulator = try Emulator()
            let server = try #require(try await emulator.client().uploadHosts().first)
            try await emulator.setFaults(#"{"faults": [{"do": "hang"}]}"#)
            let source = try Source(fiveSlices)
            let (etag, size) = (try fiveSlicesMD5.get(), UInt64(fiveSlices.count))
            let calls: [(Comment, @Sendable (Client) async throws -> Void)] = [
                ("hosts", { _ = try await $0.uploadHosts() }),
                ("create", { _ = try await $0.create("a", etag: etag, size: size) }),
                ("complete", { _ = try await $0.complete("id") }),
                ("slice", { try await $0.sendSlice(1, of: "id", [1, 2, 3], to: server) }),
                ("slice of a source", { try await $0.sendSlice(1, of: "id", from: source, 0..<9, to: server) }),
                ("single", { _ = try await $0.uploadSingle(source, as: "a", etag: etag, to: server) }),
            ]
            for (name, call) in calls {
                let client = try emulator.client()
                await checkCancel(Task { try await call(client) }, name)
                let watch = Watch()
                var configuration = emulator.configuration()
                configuration.transports = [watch]
                let watched = try Client(configuration)
                let task = Task { try await call(watched) }
                await watch.isSending.opened()
                await checkCancel(task, name)
            }
        }

        /// Forty uploads at once, cancelled wherever they happen to be, three times.
        @Test func storm() async throws {
            let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "do": "hang"}]}"#)
            let client = try emulator.client()
            for round in 0..<3 {
                let uploads = try (0..<40).map { index in
                    let content = bytes(mebibyte + 1, seed: UInt64(100 * round + index + 10))
                    return try client.makeUpload(of: Source(content), as: "storm-\(index).bin")
                }
                let tasks = try uploads.map { upload in
                    try upload.start()
                    return Task { try await upload.value }
                }
                // As far as they get until one of them sends; the others hash, announce, or wait for their turn.
                await withTaskGroup(of: Void.self) { group in
                    for upload in uploads {
                        group.addTask { for await now in upload.progressUpdates where now.bytesSent > 0 { break } }
                    }
                    await group.next()
                    group.cancelAll()
                }
                let start = ContinuousClock.now
                for (task, upload) in zip(tasks, uploads) {
                    task.cancel()
                    upload.cancel()
                }
                for task in tasks {
                    await #expect(throws: CancellationError.self) { _ = try await task.value }
                }
                let took = ContinuousClock.now - start
                #expect(took < promptly)
            }
            #expect(try emulator.storedNames().isEmpty)
            // The client is as good as new.
            try await emulator.setFaults("{}")
            let stored = try await client.upload(Source(fiveSlices), as: "after.bin")
            #expect(stored.slices == 5 && emulator.holds(fiveSlices, "after.bin"))
            try await client.shutdown()
        }

        /// Waits of several tasks for one upload, of which one is cancelled.
        @Test func oneOfSeveralThatWait() async throws {
            let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "do": "hang"}]}"#)
            let upload = try emulator.client().makeUpload(of: Source(fiveSlices), as: "film.mkv")
            try upload.start()
            let cancelled = Task { try await upload.value }
            let other = Task { try await upload.value }
            await checkCancel(cancelled)
            let error = try await failure { try await other.value }
            #expect(error.kind == .cancelled)
        }
    }

    @Suite struct Pausing {
        @Test func goesOnWhereItWas() async throws {
            let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "slice_no": "3..", "do": "hang"}]}"#)
            let upload = try emulator.client().makeUpload(of: Source(fiveSlices), as: "film.mkv")
            try await start(upload, untilStored: [1, 2])
            upload.pause()
            let error = try await failure { try await upload.value }
            #expect(error.kind == .paused)
            try await emulator.setFaults("{}")
            let events = upload.events
            try upload.start()
            #expect(throws: Pan123Error.self, "it runs") { try upload.start() }
            _ = try await upload.value
            var seen: [UploadEvent] = []
            for await event in events { seen.append(event) }
            guard case .completed = seen.last else { throw Unexpected(what: "\(seen)") }
            #expect(emulator.holds(fiveSlices, "film.mkv"))
            #expect(try await emulator.slices().filter { $0 <= 2 } == [1, 2])
            #expect(throws: Pan123Error.self) { try upload.export() }
        }

        @Test func isTakenAlong() async throws {
            let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "slice_no": "3..", "do": "hang"}]}"#)
            let source = try Source(path: emulator.file(fiveSlices))
            let state: [UInt8]
            do {
                let client = try emulator.client()
                let upload = try client.makeUpload(of: source, as: "film.mkv")
                try await start(upload, untilStored: [1, 2])
                state = try upload.export()
                #expect(!String(decoding: state, as: UTF8.self).contains(Emulator.token))
                try await client.shutdown()
                let error = try await failure { try await upload.value }
                #expect(error.kind == .cancelled || error.kind == .shutDown)
            }
            try await emulator.setFaults("{}")
            let client = try emulator.client()
            let upload = try client.makeUpload(resuming: state, of: source)
            try upload.start()
            _ = try await upload.value
            #expect(emulator.holds(fiveSlices, "film.mkv"))
            #expect(try await emulator.slices().filter { $0 <= 2 } == [1, 2])
            #expect(try await emulator.count("create") == 1)
            #expect(throws: Pan123Error.self) { try client.makeUpload(resuming: [1, 2, 3], of: source) }
        }

        @Test func onlyWhatRuns() async throws {
            let emulator = try Emulator()
            let upload = try emulator.client().makeUpload(of: Source(fiveSlices), as: "film.mkv")
            let unstarted = try await failure { try await upload.value }
            #expect(unstarted.kind == .wrongState)
            upload.pause()
            #expect(upload.progress.stage == .new && upload.progress.bytesTotal == UInt64(fiveSlices.count))
            try upload.start()
            _ = try await upload.value
            upload.pause()
            upload.cancel()
            #expect(try await upload.value.slices == 5)
            #expect(upload.progress.stage == .done)
            for await event in upload.events { Issue.record("there is no news after the end: \(event)") }
            for await _ in upload.progressUpdates {}
            // Nor is there for an upload that nobody can start any more.
            var dropped: AsyncStream<UploadEvent>?
            dropped = try emulator.client().makeUpload(of: Source(fiveSlices), as: "film.mkv").events
            for await _ in dropped! {}
        }

        private func start(_ upload: Upload, untilStored wanted: Set<Int>) async throws {
            let events = upload.events
            try upload.start()
            var slices: Set<Int> = []
            for await case .slice(let number) in events {
                slices.insert(number)
                if slices == wanted { return }
            }
            throw Unexpected(what: "the upload ended after the slices \(slices)")
        }
    }
}

/// Lets tasks through once it is open.
final class Gate: Sendable {
    private let state = Mutex((isOpen: false, waiting: [CheckedContinuation<Void, Never>]()))

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        waiting.forEach { $0.resume() }
    }

    /// Waits; a test whose time is over waits no longer.
    func opened() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        } onCancel: {
            open()
        }
    }
}

/// A source whose reads do not return until they are let go.
private final class StuckSource: ByteSource {
    let size: UInt64 = 3_000_000
    let isReading = Gate()
    private let mayGo = DispatchSemaphore(value: 0)

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        isReading.open()
        mayGo.wait()
        mayGo.signal()
        buffer.initializeMemory(as: UInt8.self, repeating: 1)
        return buffer.count
    }

    func letGo() { mayGo.signal() }
}

private struct StuckTokens: TokenProvider {
    let isAsked = Gate()
    let answer = Gate()

    func token(refused: String?) async throws -> Token {
        isAsked.open()
        await answer.opened()
        return Token("late")
    }
}

/// Tells that a request is on its way.
struct Watch: Transport {
    let isSending = Gate()

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        isSending.open()
        return try await request.forward()
    }
}

private struct StuckTransport: Transport {
    let isAsked = Gate()
    let wasCancelled = Gate()

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        let never = Gate()
        await withTaskCancellationHandler {
            isAsked.open()
            await never.opened()
        } onCancel: {
            wasCancelled.open()
            never.open()
        }
        throw CancellationError()
    }
}
