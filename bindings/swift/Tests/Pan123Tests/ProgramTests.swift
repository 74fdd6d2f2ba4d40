import Foundation
import Testing

@testable import Pan123

/// The root of the repository.
private let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../..").standardizedFileURL

extension Tests {
    /// What a stranger does with the package: the program in the README, and the example.
    @Suite struct Programs {
        @Test func readmeAndExample() async throws {
            let readme = try String(contentsOf: root.appendingPathComponent("bindings/swift/README.md"), encoding: .utf8)
            let (manifest, main) = (try code(in: readme, after: "`Package.swift`:"), try code(in: readme, after: "main.swift`:"))
            try #require(main.split(separator: "\n", omittingEmptySubsequences: false).count <= 25)
            // Kept beside these tests, so that the next run need not build all of it.
            let package = URL(fileURLWithPath: CommandLine.arguments[0]).appendingPathComponent("../stranger").standardizedFileURL
            let program = package.appendingPathComponent("program")
            let sources = program.appendingPathComponent("Sources/program")
            try FileManager.default.createDirectory(at: sources, withIntermediateDirectories: true)
            let link = package.appendingPathComponent("pan123")
            try? FileManager.default.removeItem(at: link)
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: root)
            try Data(manifest.utf8).write(to: program.appendingPathComponent("Package.swift"))
            try Data(main.utf8).write(to: sources.appendingPathComponent("main.swift"))
            let errors = "import Pan123\n" + (try code(in: readme, after: "## Errors"))
            try Data(errors.utf8).write(to: sources.appendingPathComponent("errors.swift"))

            let emulator = try Emulator()
            let file = try emulator.file(fiveSlices)
            var environment = ["PAN123_BASE_URL": emulator.baseURL, "PAN123_ACCESS_TOKEN": Emulator.token]
            try build(program)
            let stored = try start(program, [file, "film.mkv"], environment)
            let expected = try fiveSlicesMD5.get()
            try #require(stored.status == 0 && stored.output.contains("MD5 \(expected)"), "\(stored.output)")
            try #require(stored.output.contains("\(fiveSlices.count) of \(fiveSlices.count) bytes"), "\(stored.output)")
            try #require(emulator.holds(fiveSlices, "film.mkv"))

            environment["PAN123_ACCESS_TOKEN"] = "some-wrong-token"
            let refused = try start(program, [file, "film.mkv"], environment)
            try #require(refused.status == 1 && !refused.output.contains("some-wrong-token"), "\(refused.output)")
            environment["PAN123_LIBRARY"] = "/no/such/libpan123.so"
            let missing = try start(program, [file, "film.mkv"], environment)
            try #require(missing.status == 1, "\(missing.output)")
            try #require(missing.output.contains("libpan123 is missing: /no/such/libpan123.so: cannot open"), "\(missing.output)")
            try #require(missing.output.contains("Install libpan123"), "\(missing.output)")
            // Nothing is as good as no name at all.
            environment["PAN123_LIBRARY"] = ""
            environment["PAN123_ACCESS_TOKEN"] = Emulator.token
            let again = try start(program, [file, "again.mkv"], environment)
            try #require(again.status == 0, "\(again.output)")
            let usage = try start(program, [], environment)
            try #require(usage.status == 2 && usage.output == "usage: program FILE NAME\n", "\(usage.output)")

            // The example, in place of the program.
            let example = try Data(contentsOf: root.appendingPathComponent("examples/swift/slice/slice.swift"))
            try example.write(to: sources.appendingPathComponent("main.swift"))
            try build(program)
            let client = try emulator.client()
            let content = bytes(mebibyte + 5, seed: 2)
            let slices = try emulator.file(content, "slices.bin")
            guard
                case .wanted(let wanted) = try await client.create("slices.bin", etag: md5(content), size: UInt64(content.count))
            else { throw Unexpected(what: "these bytes are new") }
            environment = ["PAN123_ACCESS_TOKEN": Emulator.token]
            for (number, range) in [("1", ["0", "\(mebibyte)"]), ("2", ["\(mebibyte)", "5"])] {
                let arguments = [wanted.servers[0], wanted.preuploadID, number, slices] + range
                let sent = try start(program, arguments, environment)
                try #require(sent.status == 0 && sent.output.hasSuffix("slice \(number) ok\n"), "\(sent.output)")
            }
            try #require(try await client.complete(wanted.preuploadID) != nil)
            try #require(emulator.holds(content, "slices.bin"))
        }

        private func build(_ package: URL) throws {
            let built = try run(["swift", "build", "--package-path", package.path])
            try #require(built.status == 0, "\(built.output)")
        }

        private func start(
            _ package: URL, _ arguments: [String], _ environment: [String: String]
        ) throws -> (status: Int32, output: String) {
            try run([package.appendingPathComponent(".build/debug/program").path] + arguments, environment)
        }

        /// The first block of code after `title`.
        private func code(in text: String, after title: String) throws -> String {
            let rest = try #require(text.range(of: title)).upperBound
            let start = try #require(text.range(of: "```swift\n", range: rest..<text.endIndex)).upperBound
            let end = try #require(text.range(of: "```", range: start..<text.endIndex)).lowerBound
            return String(text[start..<end])
        }
    }

    @Suite struct Loading {
        @Test func isTheOneThatFits() throws {
            let library = try Library.loaded
            #expect(library.buildInfo.contains("\"version\":\"\(library.version)\""), "\(library.buildInfo)")
        }

        @Test func saysWhatIsMissing() throws {
            let error = try #require(refusal(of: "/no/such/libpan123.so"))
            #expect(error.kind == .library)
            #expect(error.message.hasPrefix("libpan123 is missing: /no/such/libpan123.so: cannot open"))
            #expect(error.advice?.contains("PAN123_LIBRARY") == true)
        }

        /// A library with all functions whose `abi_check` refuses, and one without them.
        @Test func saysWhatDoesNotFit() throws {
            let folder = try temporaryFolder()
            defer { try? FileManager.default.removeItem(at: folder) }
            let refuses = """
                int pan123_abi_check(unsigned wanted) { return wanted == 0x00010000u ? 2 : 0; }
                const char *pan123_version(void) { return "0.0.9"; }
                """
            let others = """
                #include "CPan123.h"
                #define STUB(name) __attribute__((weak)) void stub_##name(void) __asm__("pan123_" #name); void stub_##name(void) {}
                CPAN123_FUNCTIONS(STUB)
                """
            let stranger = try library(in: folder, "stranger", ["int something(void) { return 1; }"])
            let strange = try #require(refusal(of: stranger))
            #expect(strange.kind == .library && strange.message.hasSuffix("stranger.so is not libpan123: it has no pan123_abi_check"), "\(strange)")
            let text = folder.appendingPathComponent("text.so").path
            try Data("not a library".utf8).write(to: URL(fileURLWithPath: text))
            let invalid = try #require(refusal(of: text))
            #expect(invalid.kind == .library && invalid.message.hasPrefix("libpan123 cannot be loaded: \(text)"), "\(invalid)")
            let old = try library(in: folder, "old", [refuses])
            let error = try #require(refusal(of: old))
            #expect(error.kind == .library)
            #expect(error.message.hasSuffix("old.so is too old: it has no pan123_build_info"), "\(error)")
            let other = try library(in: folder, "other", [refuses, others])
            let refused = try #require(refusal(of: other))
            #expect(refused.kind == .library)
            #expect(refused.message.hasSuffix("other.so has version 0.0.9"), "\(refused)")
            #expect(refused.advice?.contains("Install libpan123 0.1") == true)
        }

        private func refusal(of library: String) -> Pan123Error? {
            if case .failure(let error) = load(named: library) { error } else { nil }
        }

        private func library(in folder: URL, _ name: String, _ sources: [String]) throws -> String {
            let library = folder.appendingPathComponent("\(name).so").path
            var command = ["clang", "-shared", "-fPIC", "-o", library]
            command += ["-I", root.appendingPathComponent("bindings/swift/Sources/CPan123/include").path]
            for (number, source) in sources.enumerated() {
                let file = folder.appendingPathComponent("\(name)-\(number).c")
                try Data(source.utf8).write(to: file)
                command.append(file.path)
            }
            // Debian has the compiler beside Swift's, and not where one looks for programs.
            let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/libexec/swift/bin"
            let compiled = try run(command, ["PATH": path])
            try #require(compiled.status == 0, "\(compiled.output)")
            return library
        }
    }
}
