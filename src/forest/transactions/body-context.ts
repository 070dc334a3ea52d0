/**
 * Which transactions the running code is part of: its body is on the stack, or the code goes on
 * from an `await` in that body.
 *
 * Invariant: a body counts until it has settled. Code that awaits is recognised where the platform
 * has `AsyncLocalStorage`; elsewhere only what a body calls before its first `await`. One store of
 * contexts serves all forests, since a body may use several. It is switched on only while a body is
 * under way: it makes every promise of the process take twice as long. It refuses nothing itself.
 */

import { builtinModule } from '../../util/builtin-module.ts';

/** Stands for a body that runs. */
export interface RunningBody {
  hasEnded: boolean;
  /** It may await, so that the platform's contexts are switched on for it. */
  mayAwait: boolean;
}

/** A body, and those that it runs in. */
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
/** Bodies under way that contexts are switched on for. */
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

/** Runs what `body` stands for. */
export function runBody<T>(body: RunningBody, run: () => T): T {
  const local = storageOf();
  if (local === undefined) return runOnStack(body, run);
  body.mayAwait = true;
  using += 1;
  return local.run({ body, outer: living(local.getStore()) }, () => runOnStack(body, run));
}

/**
 * The bodies of a context that are still under way: code that a body has left behind may begin the
 * next one, and so on for ever.
 */
function living(context: Context | undefined): Context | undefined {
  if (context === undefined) return undefined;
  const outer = living(context.outer);
  if (context.body.hasEnded) return outer;
  return outer === context.outer ? context : { body: context.body, outer };
}

/** Runs code later in the context of now: that of the caller who asks for it. */
export function captureContext(): Runner {
  storageOf();
  return capture?.() ?? ((run) => run());
}

/** The body has settled. Once is enough. */
export function endBody(body: RunningBody): void {
  if (body.hasEnded) return;
  body.hasEnded = true;
  if (!body.mayAwait) return;
  using -= 1;
  if (using === 0) storage?.disable();
}

/** As `runBody`, of a body that cannot await. */
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

/** Whether the running code is part of this body. */
export function isWithin(body: RunningBody): boolean {
  return has(onStack, body) || has(storage?.getStore(), body);
}

function has(context: Context | undefined, body: RunningBody): boolean {
  for (let one = context; one !== undefined; one = one.outer) if (one.body === body) return true;
  return false;
}
