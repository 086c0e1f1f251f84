/**
 * Pickle machine: turns a pickle into PyValues. It executes nothing: where Python would import or call, it asks its host,
 * which gives known values their meaning and makes everything else a PyObject.
 *
 * Protocols 2 to 5 as Python 2 and 3 write them. Work and memory are bounded: every instruction takes at least a byte of
 * a pickle whose size is bounded, there are at most `maxSteps` instructions and `maxObjects` containers.
 */
import type { PyValue } from './values';
import { PyDict, PyObject, PySet, PyTuple, kindText } from './values';
import { PickleCursor, op } from './pickleBytes';

/** Most instructions. A checkpoint of 3,000 tensors, optimizer and all, has about 100,000. */
const maxSteps = 5_000_000;
/** Most lists, tuples, dictionaries, sets and objects. Such a checkpoint makes about 25,000. */
const maxObjects = 500_000;
/** Deepest nesting of open marks. */
const maxMarks = 1000;

/** What a pickle means beyond its plain data. Every method may throw a FormatError. */
export interface PickleHost {
  /** The class or function of that name. */
  global(module: string, name: string): PyValue;
  /** What a persistent id stands for: in torch files, a storage. */
  persistent(id: PyValue): PyValue;
  /** callable(*args). */
  call(callable: PyValue, args: PyValue): PyValue;
  /** cls.__new__(cls, *args, **options). */
  create(cls: PyValue, args: PyValue, options: PyValue): PyValue;
  /** Gives `target` its state. */
  build(target: PyValue, state: PyValue): void;
}

/** A pickle's value, and where the bytes after it begin. */
export interface Unpickled {
  readonly value: PyValue;
  readonly end: number;
}

/**
 * Reads the pickle that begins at byte `at`.
 *
 * @param what names the pickle in messages
 * @throws PickleEndError when it ends too early, FormatError when it is not sound
 */
export function unpickle(what: string, bytes: Uint8Array<ArrayBuffer>, host: PickleHost, at = 0): Unpickled {
  return new Machine(new PickleCursor(what, bytes, at), host).run();
}

class Machine {
  readonly #cursor: PickleCursor;
  readonly #host: PickleHost;
  #stack: PyValue[] = [];
  /** Stack heights at the open marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PyValue>();
  #objects = 0;

  constructor(cursor: PickleCursor, host: PickleHost) {
    this.#cursor = cursor;
    this.#host = host;
  }

  run(): Unpickled {
    const cursor = this.#cursor;
    for (let step = 0; step < maxSteps; step++) {
      const at = cursor.at;
      const code = cursor.u8();
      if (code === op.stop) return { value: this.#pop(), end: cursor.at };
      this.#step(code, at);
    }
    return cursor.fail(`must have at most ${maxSteps} instructions: it has more`);
  }

  #step(code: number, at: number): void {
    const cursor = this.#cursor;
    switch (code) {
      case op.proto: {
        const protocol = cursor.u8();
        if (protocol > 5) cursor.fail(`protocol must be at most 5: ${protocol}`);
        return;
      }
      case op.frame: {
        const length = cursor.u64();
        const body = cursor.at;
        cursor.skip(length); // checks that it is there
        cursor.at = body;
        return;
      }
      case op.none:
        return this.#push(null);
      case op.newTrue:
        return this.#push(true);
      case op.newFalse:
        return this.#push(false);
      case op.binInt:
        return this.#push(cursor.i32());
      case op.binInt1:
        return this.#push(cursor.u8());
      case op.binInt2:
        return this.#push(cursor.u16());
      case op.int:
        return this.#push(this.#decimal(cursor.line()));
      case op.long1:
        return this.#push(cursor.integer(cursor.u8()));
      case op.long4:
        return this.#push(cursor.integer(cursor.u32()));
      case op.binFloat:
        return this.#push(cursor.f64());
      case op.shortBinUnicode:
        return this.#push(cursor.text(cursor.u8()));
      case op.binUnicode:
        return this.#push(cursor.text(cursor.u32()));
      case op.binUnicode8:
        return this.#push(cursor.text(cursor.u64()));
      case op.shortBinString:
        return this.#push(cursor.oldString(cursor.u8()));
      case op.binString:
        return this.#push(cursor.oldString(cursor.u32()));
      case op.shortBinBytes:
        return this.#push(cursor.blob(cursor.u8()));
      case op.binBytes:
        return this.#push(cursor.blob(cursor.u32()));
      case op.binBytes8:
      case op.byteArray8:
        return this.#push(cursor.blob(cursor.u64()));
      case op.mark:
        if (this.#marks.length >= maxMarks)
          cursor.fail(`nesting must be at most ${maxMarks} deep: it is deeper`);
        this.#marks.push(this.#stack.length);
        return;
      case op.pop:
        // As in Python, it takes the mark when nothing lies above that.
        if (this.#stack.length === this.#floor() && this.#marks.length > 0) this.#marks.pop();
        else this.#pop();
        return;
      case op.popMark:
        this.#popMark();
        return;
      case op.dup:
        return this.#push(this.#top());
      case op.emptyTuple:
        return this.#pushNew(new PyTuple([]));
      case op.tuple:
        return this.#pushNew(new PyTuple(this.#popMark()));
      case op.tuple1:
        return this.#pushNew(new PyTuple(this.#popMany(1)));
      case op.tuple2:
        return this.#pushNew(new PyTuple(this.#popMany(2)));
      case op.tuple3:
        return this.#pushNew(new PyTuple(this.#popMany(3)));
      case op.emptyList:
        return this.#pushNew([]);
      case op.emptyDict:
        return this.#pushNew(new PyDict());
      case op.emptySet:
        return this.#pushNew(new PySet([]));
      case op.frozenSet:
        return this.#pushNew(new PySet(this.#popMark()));
      case op.append:
        return this.#append(this.#popMany(1));
      case op.appends:
        return this.#append(this.#popMark());
      case op.setItem:
        return this.#setItems(this.#popMany(2));
      case op.setItems:
        return this.#setItems(this.#popMark());
      case op.addItems:
        return this.#addItems(this.#popMark());
      case op.binPut:
        return this.#put(cursor.u8());
      case op.longBinPut:
        return this.#put(cursor.u32());
      case op.memoize:
        return this.#put(this.#memo.size);
      case op.binGet:
        return this.#get(cursor.u8());
      case op.longBinGet:
        return this.#get(cursor.u32());
      case op.global: {
        const module = cursor.line();
        return this.#push(this.#host.global(module, cursor.line()));
      }
      case op.stackGlobal: {
        const [module, name] = this.#popMany(2);
        if (typeof module !== 'string' || typeof name !== 'string') {
          return cursor.fail(`a class must be named by two texts: ${kindText(module)} and ${kindText(name)}`);
        }
        return this.#push(this.#host.global(module, name));
      }
      case op.binPersId:
        return this.#pushNew(this.#host.persistent(this.#pop()));
      case op.reduce: {
        const [callable = null, args = null] = this.#popMany(2);
        return this.#pushNew(this.#host.call(callable, args));
      }
      case op.newObj: {
        const [cls = null, args = null] = this.#popMany(2);
        return this.#pushNew(this.#host.create(cls, args, null));
      }
      case op.newObjEx: {
        const [cls = null, args = null, options = null] = this.#popMany(3);
        return this.#pushNew(this.#host.create(cls, args, options));
      }
      case op.build: {
        const state = this.#pop();
        return this.#host.build(this.#top(), state);
      }
      default:
        cursor.fail(
          `instructions must be of protocols 2 to 5: byte ${at} is 0x${code.toString(16).padStart(2, '0')}`,
        );
    }
  }

  /** Python 2 writes integers beyond 32 bits as text. */
  #decimal(line: string): PyValue {
    if (!/^-?\d{1,400}$/.test(line))
      this.#cursor.fail(`an integer must be digits: ${JSON.stringify(line.slice(0, 40))}`);
    const small = Number(line);
    return Number.isSafeInteger(small) ? small : BigInt(line);
  }

  /** Below this height lies what belongs to an outer mark. */
  #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  #push(value: PyValue): void {
    this.#stack.push(value);
  }

  #pushNew(value: PyValue): void {
    if (++this.#objects > maxObjects)
      this.#cursor.fail(`must hold at most ${maxObjects} objects: it holds more`);
    this.#stack.push(value);
  }

  #need(count: number): void {
    const held = this.#stack.length - this.#floor();
    if (held < count) {
      this.#cursor.fail(
        `the instruction before byte ${this.#cursor.at} must have ${count} values: it has ${held}`,
      );
    }
  }

  #top(): PyValue {
    this.#need(1);
    return this.#stack.at(-1) ?? null;
  }

  #pop(): PyValue {
    this.#need(1);
    return this.#stack.pop() ?? null;
  }

  #popMany(count: number): PyValue[] {
    this.#need(count);
    return this.#stack.splice(this.#stack.length - count, count);
  }

  #popMark(): PyValue[] {
    const height = this.#marks.pop();
    if (height === undefined) {
      return this.#cursor.fail(
        `the instruction before byte ${this.#cursor.at} must have a mark: there is none`,
      );
    }
    return this.#stack.splice(height);
  }

  #append(items: readonly PyValue[]): void {
    const target = this.#top();
    const list = Array.isArray(target) ? target : target instanceof PyObject ? target.items : undefined;
    if (!list) return this.#cursor.fail(`items must be appended to a list: it is ${kindText(target)}`);
    for (const item of items) list.push(item);
  }

  #addItems(items: readonly PyValue[]): void {
    const target = this.#top();
    if (!(target instanceof PySet || target instanceof PyObject)) {
      return this.#cursor.fail(`items must be added to a set: it is ${kindText(target)}`);
    }
    for (const item of items) target.items.push(item);
  }

  #setItems(items: readonly PyValue[]): void {
    const target = this.#top();
    if (items.length % 2 !== 0) this.#cursor.fail(`keys must have values: there are ${items.length} of both`);
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i] ?? null;
      const value = items[i + 1] ?? null;
      if (target instanceof PyDict) target.set(key, value);
      else if (target instanceof PyObject) target.entries.push([key, value]);
      else this.#cursor.fail(`keys must be set in a dictionary: it is ${kindText(target)}`);
    }
  }

  #put(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #get(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined)
      this.#cursor.fail(`a value must be stored before it is used: number ${index} is not`);
    else this.#push(value);
  }
}
