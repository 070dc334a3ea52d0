/**
 * What became of a fault, by the report of the run that had it.
 *
 * Invariant: a fault counts as caught only if a test ran and failed by something that it checked, and
 * by the assertion that the fault names if it names one. A test that only ran into its time limit has
 * checked nothing: on a slower machine it fails without the fault too.
 */

/** What became of a fault. */
export interface Outcome {
  readonly caught: boolean;
  /** The test that failed and how, or why none did. */
  readonly words: string;
}

/** What a child run reports. */
export interface Report {
  readonly results: readonly TestResult[];
  /** Messages of files that could not be run. */
  readonly errors: readonly string[];
}

export interface TestResult {
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending';
  /** Of its errors, in the order in which they came. */
  readonly messages: readonly string[];
}

/** `assertion`: words that the message of the failure must have. */
export function outcomeOf({ results, errors }: Report, assertion = ''): Outcome {
  const failed = results.filter(({ state }) => state === 'failed');
  const [first = failed[0]] = failed.filter((result) => !isTimedOut(result));
  if (first !== undefined) return outcomeOfFailure(first, assertion);
  const passed = results.filter(({ state }) => state === 'passed').length;
  if (passed > 0) return { caught: false, words: `${passed} tests ran and passed` };
  return { caught: false, words: ['no test ran', ...errors].join(': ') };
}

function outcomeOfFailure(result: TestResult, assertion: string): Outcome {
  const message = firstMessageOf(result);
  const words = `${result.name}: ${message.split('\n')[0]}`;
  if (isTimedOut(result)) return { caught: false, words: `${words} Only time caught it.` };
  if (message.includes(assertion)) return { caught: true, words };
  return { caught: false, words: `${words}, not by the assertion '${assertion}'` };
}

/** What the test failed by: the hooks after it may fail in consequence. */
function firstMessageOf({ messages: [first = ''] }: TestResult): string {
  return first;
}

function isTimedOut(result: TestResult): boolean {
  return /^(Test|Hook) timed out in /.test(firstMessageOf(result));
}
