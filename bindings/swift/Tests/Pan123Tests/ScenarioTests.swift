import Foundation
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

import Pan123

/// Runs a scenario of `bindings/scenarios.json`, and writes down how it went.
func scenario(_ id: String, _ body: () async throws -> String) async throws {
    do {
        try record(id, "passed", try await body())
    } catch {
        try record(id, "failed", String("\(error)".prefix(200)))
        throw error
    }
}

private func record(_ id: String, _ result: String, _ what: String) throws {
    guard let path = ProcessInfo.processInfo.environment["PAN123_SCENARIO_RESULTS"] else { return }
    let entry = ["binding": "swift", "scenario": id, "result": result, "what": what]
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line = try encoder.encode(entry) + Data("\n".utf8)
    if !FileManager.default.fileExists(atPath: path) {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    let file = try #require(FileHandle(forWritingAtPath: path))
    try file.seekToEnd()
    try file.write(contentsOf: line)
    try file.close()
}

/// Five slices of 1 MiB, the last one 7 bytes short.
let fiveSlices = bytes(5 * mebibyte - 7)
/// Their MD5.
let fiveSlicesMD5 = Result { try md5(fiveSlices) }

extension Tests {
    @Suite struct Scenarios {
        /// What must hold for `fiveSlices`, wherever they came from.
        private func check(_ emulator: Emulator, _ uploaded: Uploaded, _ name: String) async throws {
            try #require(emulator.holds(fiveSlices, name))
            let expected = try fiveSlicesMD5.get()
            try #require(uploaded.etag == expected)
            try #require(uploaded.slices == 5 && uploaded.size == UInt64(fiveSlices.count) && !uploaded.reused)
            try #require(try await emulator.slices() == [1, 2, 3, 4, 5])
        }

        @Test func upload() async throws {
            try await scenario("upload") {
                let emulator = try Emulator()
                let uploaded = try await emulator.client().upload(file: emulator.file(fiveSlices))
                try await check(emulator, uploaded, "film.mkv")
                return "\(uploaded.slices) slices"
            }
        }

        @Test func reuse() async throws {
            try await scenario("reuse") {
                let emulator = try Emulator()
                let client = try emulator.client()
                let file = try emulator.file(fiveSlices)
                let first = try await client.upload(file: file)
                let second = try await client.upload(file: file, as: "again.mkv")
                try await check(emulator, first, "film.mkv")
                try #require(second.reused && second.bytesSent == 0)
                try #require(emulator.holds(fiveSlices, "again.mkv"))
                return ""
            }
        }

        @Test func retry() async throws {
            try await scenario("retry") {
                let emulator = try Emulator(
                    faults: """
                        {"faults": [
                            {"on": "slice", "slice_no": 2, "attempt": "1..2", "do": {"status": {"status": 500}}},
                            {"on": "upload_complete", "attempt": 1, "do": "pending"}]}
                        """)
                let source = try Source(path: emulator.file(fiveSlices))
                let upload = try emulator.client().makeUpload(of: source, as: "film.mkv")
                let events = upload.events
                try upload.start()
                var retries: [(slice: Int?, reason: String)] = []
                for await case .retry(_, let slice, let reason) in events { retries.append((slice, reason)) }
                _ = try await upload.value
                try #require(emulator.holds(fiveSlices, "film.mkv"))
                try #require(try await emulator.slices() == [1, 2, 2, 2, 3, 4, 5])
                try #require(try await emulator.count("upload_complete") == 2)
                let ofSlice = retries.filter { $0.slice == 2 }
                try #require(ofSlice.count == 2 && ofSlice.allSatisfy { $0.reason.contains("500") })
                return "\(retries.count) retries: \(ofSlice[0].reason)"
            }
        }

        @Test func cancel() async throws {
            try await scenario("cancel") {
                let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "do": "hang"}]}"#)
                let client = try emulator.client()
                let source = try Source(path: emulator.file(fiveSlices))
                // By the task that waits.
                let upload = try client.makeUpload(of: source, as: "film.mkv")
                let progress = upload.progressUpdates
                try upload.start()
                let task = Task { try await upload.value }
                for await now in progress where now.bytesSent > 0 { break }
                let byTask = await ContinuousClock().measure {
                    task.cancel()
                    if case .failure(let error) = await task.result { #expect(error is CancellationError) }
                }
                await #expect(throws: CancellationError.self) { try await task.value }
                // By the upload itself.
                let other = try client.makeUpload(of: source, as: "other.mkv")
                let otherProgress = other.progressUpdates
                try other.start()
                for await now in otherProgress where now.bytesSent > 0 { break }
                let start = ContinuousClock.now
                other.cancel()
                let error = try await failure { try await other.value }
                let byUpload = ContinuousClock.now - start
                try #require(error.kind == .cancelled)
                try #require(byTask < .milliseconds(250) && byUpload < .milliseconds(250), "\(byTask), \(byUpload)")
                try #require(try emulator.storedNames().isEmpty)
                return "\(byTask / .milliseconds(1)) ms"
            }
        }

        @Test func resume() async throws {
            try await scenario("resume") {
                let emulator = try Emulator(faults: #"{"faults": [{"on": "slice", "slice_no": "4..", "do": "hang"}]}"#)
                let file = try emulator.file(fiveSlices)
                var configuration = emulator.configuration()
                configuration.stateDirectory = emulator.folder.appendingPathComponent("state").path
                do {
                    let client = try Client(configuration)
                    let upload = try client.makeUpload(of: Source(path: file), as: "film.mkv")
                    let events = upload.events
                    try upload.start()
                    var slices: Set<Int> = []
                    for await case .slice(let number) in events {
                        slices.insert(number)
                        if slices == [1, 2, 3] { break }
                    }
                    upload.cancel()
                    let error = try await failure { try await upload.value }
                    try #require(error.kind == .cancelled)
                    try await client.shutdown()
                }
                try await emulator.setFaults("{}")
                let uploaded = try await Client(configuration).upload(file: file)
                try #require(emulator.holds(fiveSlices, "film.mkv"))
                let expected = try fiveSlicesMD5.get()
                try #require(uploaded.etag == expected)
                let slices = try await emulator.slices()
                try #require(slices.filter { $0 <= 3 } == [1, 2, 3], "\(slices)")
                try #require(try await emulator.count("create") == 1)
                return "\(uploaded.bytesSent) bytes sent after the resume"
            }
        }

        @Test func badToken() async throws {
            try await scenario("bad-token") {
                let emulator = try Emulator()
                var configuration = emulator.configuration()
                configuration.accessToken = "some-wrong-token"
                let client = try Client(configuration)
                let error = try await failure { try await client.upload(file: emulator.file(fiveSlices)) }
                try #require(error.kind == .login)
                let words = try #require(error.serviceMessage)
                try #require(!words.isEmpty && error.message.contains(words))
                try #require(!"\(error) \(String(reflecting: error))".contains("some-wrong-token"))
                return words
            }
        }

        @Test func badName() async throws {
            try await scenario("bad-name") {
                let emulator = try Emulator()
                let client = try emulator.client()
                let error = try await failure { try await client.upload(file: emulator.file(fiveSlices), as: "a:b") }
                try #require(error.kind == .name)
                let advice = try #require(error.advice)
                try #require(!advice.isEmpty)
                try #require(try await emulator.count("create") == 0)
                return advice
            }
        }

        @Test func missingFile() async throws {
            try await scenario("missing-file") {
                let emulator = try Emulator()
                let client = try emulator.client()
                let error = try await failure { try await client.upload(file: "/no/such/film.mkv") }
                try #require(error.kind == .source)
                try #require(error.message.contains("/no/such/film.mkv"), "\(error)")
                try #require(try await emulator.count("create") == 0)
                return error.message
            }
        }

        @Test func ownSource() async throws {
            struct Own: ByteSource {
                let bytes: [UInt8]
                var size: UInt64 { UInt64(bytes.count) }

                func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
                    let part = bytes.dropFirst(Int(offset)).prefix(buffer.count)
                    buffer.copyBytes(from: part)
                    return part.count
                }
            }
            try await scenario("own-source") {
                let emulator = try Emulator()
                let source = try Source(Own(bytes: fiveSlices))
                let uploaded = try await emulator.client().upload(source, as: "own.bin")
                try await check(emulator, uploaded, "own.bin")
                return "\(uploaded.slices) slices"
            }
        }

        @Test func ownTransport() async throws {
            try await scenario("own-transport") {
                let emulator = try Emulator()
                var configuration = emulator.configuration()
                configuration.transports = [FoundationTransport()]
                let uploaded = try await Client(configuration).upload(file: emulator.file(fiveSlices))
                try await check(emulator, uploaded, "film.mkv")
                let requests = try await emulator.requests()
                let strangers = requests.filter { $0.endpoint != nil && $0.user_agent != FoundationTransport.userAgent }
                try #require(strangers.isEmpty, "\(strangers)")
                return "\(requests.filter { $0.endpoint != nil }.count) requests by URLSession"
            }
        }

        @Test func progress() async throws {
            try await scenario("progress") {
                let emulator = try Emulator()
                let content = bytes(8 * mebibyte)
                let upload = try emulator.client().makeUpload(of: Source(content), as: "film.mkv")
                let updates = upload.progressUpdates
                try upload.start()
                var seen: [UploadProgress] = []
                for await now in updates { seen.append(now) }
                _ = try await upload.value
                for (before, after) in zip(seen, seen.dropFirst()) {
                    try #require(before.bytesHashed <= after.bytesHashed && before.bytesSent <= after.bytesSent)
                    try #require(before.bytesConfirmed <= after.bytesConfirmed && before.stage <= after.stage)
                }
                try #require(seen.allSatisfy { $0.bytesConfirmed <= $0.bytesSent })
                let last = try #require(seen.last)
                let size = UInt64(content.count)
                try #require([last.bytesHashed, last.bytesSent, last.bytesConfirmed] == [size, size, size])
                try #require(last.stage == .done && last.slicesDone == 8 && last.fraction == 1)
                return "\(seen.count) updates"
            }
        }

        @Test func sliceBySlice() async throws {
            try await scenario("slice-by-slice") {
                let emulator = try Emulator()
                let client = try emulator.client()
                let source = try Source(fiveSlices)
                let digests = try await source.digests(sliceSize: UInt64(mebibyte))
                let created = try await client.create("film.mkv", etag: digests.etag, size: digests.size)
                guard case .wanted(let wanted) = created else { throw Unexpected(what: "\(created)") }
                try #require(wanted.sliceCount == 5 && wanted.sliceSize == UInt64(mebibyte))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...5 {
                        group.addTask {
                            let start = UInt64(number - 1) * wanted.sliceSize
                            let range = start..<min(start + wanted.sliceSize, digests.size)
                            let server = wanted.servers[number % wanted.servers.count]
                            let md5 = digests.slices[number - 1]
                            if number % 2 == 0 {
                                let bytes = Array(fiveSlices[Int(range.lowerBound)..<Int(range.upperBound)])
                                try await client.sendSlice(number, of: wanted.preuploadID, bytes, md5: md5, to: server)
                            } else {
                                try await client.sendSlice(
                                    number, of: wanted.preuploadID, from: source, range, md5: md5, to: server)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let id = try await client.complete(wanted.preuploadID)
                try #require(id != nil)
                try #require(emulator.holds(fiveSlices, "film.mkv"))
                let expected = try fiveSlicesMD5.get()
                try #require(digests.etag == expected)
                try #require(try await emulator.slices() == [1, 2, 3, 4, 5])
                return "\(wanted.sliceCount) slices"
            }
        }
    }
}

/// Requests by Foundation.
struct FoundationTransport: Transport {
    static let userAgent = "own-transport/1"
    private let session = URLSession(configuration: .ephemeral)

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        let url = try #require(URL(string: request.url))
        var own = URLRequest(url: url)
        own.httpMethod = request.method
        for (name, value) in request.headers { own.setValue(value, forHTTPHeaderField: name) }
        own.setValue(Self.userAgent, forHTTPHeaderField: "User-Agent")
        if request.bodyLength > 0 { own.httpBody = Data(try await request.body()) }
        let (body, response) = try await session.data(for: own)
        let http = try #require(response as? HTTPURLResponse)
        let headers = http.allHeaderFields.compactMap { name, value in
            (name as? String).flatMap { name in (value as? String).map { (name: name, value: $0) } }
        }
        return TransportResponse(status: http.statusCode, headers: headers, body: [UInt8](body))
    }
}
