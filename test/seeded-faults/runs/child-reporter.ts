/**
 * The reporter of a child run: writes as JSON which tests failed and by which messages, in the order
 * in which they came. Its file is VARVE_CHILD_REPORT.
 *
 * vitest's own JSON has the stacks of errors, and that of a time limit does not say that it is one.
 */

import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';
import type { Report, TestResult } from './outcome.ts';

export default class ChildReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const results = modules.flatMap((module) => [...resultsOf(module)]);
    const errors = modules.flatMap((module) => module.errors().map(({ message }) => message));
    const report: Report = { results, errors };
    writeFileSync(process.env['VARVE_CHILD_REPORT'] ?? '', JSON.stringify(report));
  }
}

function* resultsOf(module: TestModule): IterableIterator<TestResult> {
  for (const test of module.children.allTests()) {
    const { state, errors = [] } = test.result();
    yield { name: test.fullName, state, messages: errors.map(({ message }) => message) };
  }
}
