/**
 * Knows which transactions the running code is part of: their body is on the stack, or the code
 * goes on after an `await` in it.
 *
 * Invariants:
 * - A body counts until it has settled.
 * - Code after an `await` is recognised only if the platform has `AsyncLocalStorage`.
 * - One store of contexts serves all forests, since a body may use several. It is switched on only
 *   while a body runs, because it makes every promise of the process take twice as long.
 *
 * It refuses nothing itself.
 */

import { assert } from '../../util/assert.ts';
import { builtinModule } from '../../util/builtin-module.ts';

/** Identifies a running body. */
export interface RunningBody {
  hasEnded: boolean;
  /** It may await: the platform's contexts are switched on for it. */
  mayAwait: boolean;
}

/** A body, and the bodies that it runs in. */
interface Context {
  readonly body: RunningBody;
  readonly outer: Context | undefined;
}

interface ContextStorage {
  getStore(): Context | undefined;
  run<T>(context: Context, run: () => T): T;
  exit<T>(run: () => T): T;
  disable(): void;
}
type Runner = <T>(run: () => T) => T;
interface AsyncHooks {
  readonly AsyncLocalStorage?: { new (): ContextStorage; snapshot?(): Runner };
}

let storage: ContextStorage | undefined;
/** Number of running bodies that contexts are switched on for. */
let using = 0;
let capture: (() => Runner) | undefined;
let isAsked = false;
/** The bodies on the stack. */
let onStack: Context | undefined;

function storageOf(): ContextStorage | undefined {
  if (!isAsked) {
    const hooks = builtinModule<AsyncHooks>('async_hooks');
    const { AsyncLocalStorage } = hooks ?? {};
    storage = AsyncLocalStorage && new AsyncLocalStorage();
    capture = AsyncLocalStorage?.snapshot && (() => AsyncLocalStorage.snapshot?.() as Runner);
    isAsked = true;
  }
  return storage;
}

/** Runs `run` as a part of `body`, also after an `await`. */
export function runBody<T>(body: RunningBody, run: () => T): T {
  const local = storageOf();
  if (local === undefined) return runOnStack(body, run);
  body.mayAwait = true;
  using += 1;
  return local.run({ body, outer: living(local.getStore()) }, () => runOnStack(body, run));
}

/**
 * The bodies of a context that still run. Without this the chain would grow for ever if code that a
 * body has left behind begins the next body, and so on.
 */
function living(context: Context | undefined): Context | undefined {
  if (context === undefined) return undefined;
  const outer = living(context.outer);
  if (context.body.hasEnded) return outer;
  return outer === context.outer ? context : { body: context.body, outer };
}

/** Captures the caller's context: the result runs code in it later. */
export function captureContext(): Runner {
  storageOf();
  return capture?.() ?? ((run) => run());
}

/** Marks the body as settled. Further calls do nothing. */
export function endBody(body: RunningBody): void {
  if (body.hasEnded) return;
  body.hasEnded = true;
  if (!body.mayAwait) return;
  using -= 1;
  assert(using >= 0, 'a body ends once');
  if (using === 0) storage?.disable();
}

/** As `runBody`, for a body that cannot await. */
export function runOnStack<T>(body: RunningBody, run: () => T): T {
  const outer = onStack;
  onStack = { body, outer };
  try {
    return run();
  } finally {
    onStack = outer;
  }
}

/** Runs code that is part of no body. */
export function runOutside<T>(run: () => T): T {
  const outer = onStack;
  onStack = undefined;
  try {
    return storage === undefined ? run() : storage.exit(run);
  } finally {
    onStack = outer;
  }
}

/** The running code is part of this body. */
export function isWithin(body: RunningBody): boolean {
  return has(onStack, body) || has(storage?.getStore(), body);
}

function has(context: Context | undefined, body: RunningBody): boolean {
  for (let one = context; one !== undefined; one = one.outer) if (one.body === body) return true;
  return false;
}
