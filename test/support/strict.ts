/**
 * Runs before each test file: assertions that take time run too (`src/util/assert.ts`).
 *
 * Invariant: it opens nothing. Processes that tests start run the built package, without them.
 */

import { checks } from '../../src/util/assert.ts';

checks.strict = true;
