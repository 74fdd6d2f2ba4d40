// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "examples",
    platforms: [.macOS(.v15)],
    dependencies: [.package(path: "../../../bindings/swift")],
    targets: [
        .executableTarget(
            name: "slice", dependencies: [.product(name: "Pan123", package: "swift")], path: ".",
            sources: ["slice.swift"])
    ],
    swiftLanguageModes: [.v6]
)
