/**
 * zod as this program uses it: without the compiled fast path, which builds functions from text. The page's content
 * security policy forbids that, and merely trying it puts an error into the console. Import `z` from here only.
 */
import { z } from 'zod';

z.config({ jitless: true });

export { z };
