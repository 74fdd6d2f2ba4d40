import Foundation
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

@testable import Pan123

/// All tests of the package, one after another: some of them look at times, threads and file descriptors.
@Suite(.serialized, .timeLimit(.minutes(5)))
enum Tests {}

let mebibyte = 1 << 20

/// The service on this machine: `pan123 serve` in a folder of its own, until it is dropped.
final class Emulator: Sendable {
    static let token = "3a6f1e-emulator-token"

    let baseURL: String
    /// A folder that is gone with the emulator. The drive is in `drive`.
    let folder: URL
    private let process: Process

    init(faults: String = "{}", sliceSize: Int = mebibyte) throws {
        folder = try temporaryFolder()
        process = Process()
        process.executableURL = URL(fileURLWithPath: try program())
        process.arguments = [
            "serve", "--port", "0", "--token", Self.token, "--dir", folder.appendingPathComponent("drive").path,
            "--servers", "2", "--slice-size", String(sliceSize), "--faults", faults,
            "--log", folder.appendingPathComponent("log").path,
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.standardError
        try process.run()
        baseURL = try firstLine(of: output.fileHandleForReading, after: "listening ")
    }

    deinit {
        // Not with SIGTERM, which the threads that run tests block, and with them what they start.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }

    /// A configuration for a client of this emulator.
    func configuration() -> Configuration {
        var configuration = Configuration(accessToken: Self.token)
        configuration.baseURL = baseURL
        configuration.progressInterval = .milliseconds(10)
        // Else the second file of a client waits a second for its turn.
        configuration.vipRates = true
        return configuration
    }

    func client() throws -> Client { try Client(configuration()) }

    /// A file in the emulator's folder.
    func file(_ bytes: [UInt8], _ name: String = "film.mkv") throws -> String {
        let file = folder.appendingPathComponent(name)
        try Data(bytes).write(to: file)
        return file.path
    }

    /// What is stored under a name; `nil` if nothing is.
    func stored(_ name: String) -> [UInt8]? {
        try? [UInt8](Data(contentsOf: folder.appendingPathComponent("drive/files/\(name)")))
    }

    /// Whether just these bytes are stored under a name.
    func holds(_ bytes: [UInt8], _ name: String) -> Bool { stored(name) == bytes }

    /// The names of all stored files.
    func storedNames() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("drive/files").path)
    }

    /// A line of the emulator's log.
    struct Request: Decodable {
        let endpoint: String?
        let slice_no: Int?
        let status: Int?
        let user_agent: String?
    }

    /// The requests so far, those without an answer too.
    func requests() async throws -> [Request] {
        let (data, _) = try await URLSession.shared.data(from: URL(string: baseURL + "/_emulator/requests")!)
        return try JSONDecoder().decode([Request].self, from: data)
    }

    /// The numbers of the slices that were sent, in order.
    func slices() async throws -> [Int] {
        try await requests().filter { $0.endpoint == "slice" }.compactMap(\.slice_no).sorted()
    }

    func count(_ endpoint: String) async throws -> Int {
        try await requests().filter { $0.endpoint == endpoint }.count
    }

    func setFaults(_ faults: String) async throws {
        var request = URLRequest(url: URL(string: baseURL + "/_emulator/faults")!)
        request.httpMethod = "PUT"
        let (answer, response) = try await URLSession.shared.upload(for: request, from: Data(faults.utf8))
        let status = (response as? HTTPURLResponse)?.statusCode
        try #require(status == 200 || status == 204, "\(String(decoding: answer, as: UTF8.self))")
    }
}

/// The program `pan123`, from the environment.
func program() throws -> String {
    try #require(
        ProcessInfo.processInfo.environment["PAN123_PROGRAM"],
        "set PAN123_PROGRAM to the program pan123, or run `cargo xtask swift`, which does")
}

func temporaryFolder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pan123-swift-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// The rest of the first line that a program writes.
private func firstLine(of output: FileHandle, after start: String) throws -> String {
    var text = Data()
    while !text.contains(UInt8(ascii: "\n")) {
        let more = output.availableData
        try #require(!more.isEmpty, "the emulator ended before it listened")
        text += more
    }
    let line = String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    try #require(line.hasPrefix(start), "the emulator said: \(line)")
    return String(line.dropFirst(start.count))
}

/// Runs a program to its end: its exit status, and what it wrote to stdout and stderr.
func run(
    _ command: [String], _ environment: [String: String] = [:]
) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let said = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: said, as: UTF8.self))
}

/// The MD5 of bytes, by somebody else.
func md5(_ bytes: [UInt8]) throws -> String {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("bytes")
    try Data(bytes).write(to: file)
    return String(try run(["md5sum", file.path]).output.prefix(32))
}

/// Bytes that do not repeat, and are the same for the same seed.
func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    var bytes = [UInt8]()
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        withUnsafeBytes(of: word ^ (word >> 31)) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
}

/// The error that `body` throws.
func failure<T>(_ body: () async throws -> T) async throws -> Pan123Error {
    do {
        _ = try await body()
    } catch let error as Pan123Error {
        return error
    }
    throw Unexpected(what: "there was no error")
}

struct Unexpected: Error {
    let what: String
}
