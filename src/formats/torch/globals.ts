/**
 * Names of Python classes and functions in torch files: number types, storages, and what is refused.
 *
 * Nothing named in a file is ever run here, so an unknown class is harmless and becomes a placeholder. Names that only a
 * hostile file has (running commands, importing, evaluating text) are refused nevertheless: such a file attacks whoever
 * opens it elsewhere, and nothing in it can be trusted.
 */
import type { FileDType } from '../../core/dtype';
import { fileDTypes } from '../../core/dtype';

/** torch.dtype names. Absent: types that this program does not read (complex128, quantized ones, ...). */
const dtypes: Readonly<Record<string, FileDType>> = {
  float64: 'F64',
  double: 'F64',
  float32: 'F32',
  float: 'F32',
  float16: 'F16',
  half: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  complex64: 'C64',
  cfloat: 'C64',
  int64: 'I64',
  long: 'I64',
  int32: 'I32',
  int: 'I32',
  int16: 'I16',
  short: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
};

const storages: Readonly<Record<string, FileDType>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  ComplexFloatStorage: 'C64',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** Bytes of an element of the storages whose type is not read: their places still have to be known. */
const otherStorageBytes: Readonly<Record<string, number>> = {
  UntypedStorage: 1,
  ComplexDoubleStorage: 16,
  QInt8Storage: 1,
  QUInt8Storage: 1,
  QInt32Storage: 4,
  QUInt4x2Storage: 1,
  QUInt2x4Storage: 1,
};

/** The type that a torch.dtype of that name means; undefined when it is none that this program reads. */
export function dtypeOf(module: string, name: string): FileDType | undefined {
  return module === 'torch' && Object.hasOwn(dtypes, name) ? dtypes[name] : undefined;
}

/** Element type and size of a storage class; undefined when it is no storage class. */
export function storageOf(
  module: string,
  name: string,
): { dtype: FileDType | undefined; itemBytes: number | undefined } | undefined {
  if (!['torch', 'torch.cuda', 'torch.storage'].includes(module)) return undefined;
  if (Object.hasOwn(storages, name)) return { dtype: storages[name], itemBytes: undefined };
  if (Object.hasOwn(otherStorageBytes, name)) return { dtype: undefined, itemBytes: otherStorageBytes[name] };
  return undefined;
}

/** Types that are read, for messages. */
export const readTypes: string = fileDTypes.join(', ');

/** Python 2 names of modules. */
const renamed: Readonly<Record<string, string>> = {
  __builtin__: 'builtins',
  exceptions: 'builtins',
  copy_reg: 'copyreg',
};

/** A module's present name. */
export function moduleName(module: string): string {
  return Object.hasOwn(renamed, module) ? (renamed[module] ?? module) : module;
}

/** Builtins that are data; errors and warnings are too. Every other builtin is refused. */
const dataBuiltins = new Set(
  (
    'bool bytearray bytes complex dict float frozenset int list long object range xrange set slice str tuple type ' +
    'unicode NoneType Ellipsis NotImplemented'
  ).split(' '),
);

/**
 * Modules of Python that run, load or reach something; with each, everything below it. Not those whose names scripts of
 * users like to have (`test`, `code`, `profile`): of these, refusedPaths names the parts.
 */
const refusedModules = new Set(
  (
    'os posix nt ntpath posixpath sys subprocess _posixsubprocess commands popen2 importlib imp runpy codeop ' +
    'pdb bdb pty ctypes _ctypes socket _socket ssl select selectors asyncio multiprocessing _multiprocessing ' +
    'threading _thread thread concurrent signal _signal shutil tempfile glob fileinput linecache webbrowser http ' +
    'urllib urllib2 urllib3 httplib httplib2 requests aiohttp httpx ftplib smtplib telnetlib poplib imaplib nntplib ' +
    'xmlrpc xmlrpclib socketserver SocketServer wsgiref cgi marshal pickle cPickle _pickle dill shelve dbm joblib ' +
    'zipimport pkgutil pydoc doctest unittest timeit cProfile hotshot sched atexit gc ' +
    'inspect operator _operator pip setuptools distutils ensurepip venv IPython cffi pexpect paramiko fabric ' +
    'platform getpass fcntl mmap readline rlcompleter compileall py_compile lib2to3 idlelib tkinter ' +
    'crypt pwd grp spwd winreg _winreg msvcrt _winapi win32api'
  ).split(' '),
);

/** Single functions and parts of packages that run or load something. */
const refusedPaths = [
  'io.open',
  '_io.open',
  '_io.FileIO',
  'io.FileIO',
  'io.open_code',
  '_io.open_code',
  'codecs.open',
  'code.interact',
  'code.InteractiveConsole',
  'code.InteractiveInterpreter',
  'profile.run',
  'profile.runctx',
  'profile.Profile',
  'trace.Trace',
  'test.support',
  'logging.config',
  'types.CodeType',
  'types.FunctionType',
  'torch.load',
  'torch.hub',
  'torch.jit',
  'torch.serialization',
  'torch.classes',
  'torch.ops.load_library',
  'torch.utils.cpp_extension',
  'torch.utils.model_zoo',
  'torch.utils.collect_env',
  'torch.utils.bottleneck',
  'torch.utils.data.datapipes',
  'torch.distributed.launch',
  'torch.distributed.run',
  'torch._inductor',
  'torch._dynamo.guards',
  'torch.fx.experimental.symbolic_shapes',
  'numpy.load',
  'numpy.f2py',
  'numpy.testing',
  'numpy.distutils',
  'pandas.read_pickle',
  'pandas.eval',
  'tensorflow.io',
  'keras.utils.get_file',
];

/**
 * Whether a file that names this is hostile.
 *
 * @param module present name of the module
 * @param name a name in it, possibly with dots
 */
export function isRefused(module: string, name: string): boolean {
  const parts = `${module}.${name}`.split('.');
  if (module === 'builtins') {
    return (
      !dataBuiltins.has(name) && !/^[A-Z]\w*(Error|Exception|Warning|Interrupt|Exit|Iteration)$/.test(name)
    );
  }
  if (refusedModules.has(parts[0] ?? '')) return true;
  // A module reached through another one: torch.serialization's `os`, or `os.system` as a dotted name.
  if (parts.some((part) => part === '__builtins__' || part === '__globals__' || part === '__import__'))
    return true;
  const within = name.split('.');
  if (refusedModules.has(within[0] ?? '') && (within.length > 1 || commonModules.has(name))) return true;
  return refusedPaths.some((path) => `${module}.${name}.`.startsWith(`${path}.`));
}

/** Of the refused modules those that others import under their own name, and no class is called like. */
const commonModules = new Set([
  'os',
  'sys',
  'subprocess',
  'importlib',
  'shutil',
  'socket',
  'ctypes',
  'pickle',
  'marshal',
]);
