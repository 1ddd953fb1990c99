// What OpenTelemetry's exporter takes of node:fs, put in its place in the bundle (scripts/build.mjs): an import would read getters that load streams.
export const { readFileSync } = process.getBuiltinModule('node:fs');
