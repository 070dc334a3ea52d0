/**
 * Prints one line, 'N passed, N failed', from the JSON report of vitest that the argument names.
 * A test file that could not be loaded has no tests to count, so it counts as one that failed.
 */
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const unloaded = report.testResults.filter(
  (/** @type {{ status: string, assertionResults: unknown[] }} */ file) =>
    file.status === 'failed' && file.assertionResults.length === 0,
);
console.log(`${report.numPassedTests} passed, ${report.numFailedTests + unloaded.length} failed`);
