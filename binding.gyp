{
  # The CPU addon, whole, with the node-gyp that npm ships. gyp has no flags per source, so the *_simd.cc files are
  # compiled once per instruction set as static libraries, each with its flags and its CINEFUSE_ISA.
  'variables': { 'openssl_fips': '' },
  'target_defaults': {
    # gyp applies '!' lists last, to our own additions too: never list -O3 or -std in one.
    'cflags_cc!': ['-fno-rtti', '-fno-exceptions'],
    'cflags!': ['-fno-exceptions'],
    'cflags': ['-ffp-contract=fast', '-fno-math-errno', '-fvisibility=hidden', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-psabi', '-Wno-ignored-attributes', '-Wno-cast-function-type'],
    'cflags_cc': ['-fvisibility-inlines-hidden'],
    'xcode_settings': {
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'CLANG_CXX_LANGUAGE_STANDARD': 'gnu++17',
      'GCC_OPTIMIZATION_LEVEL': '3',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
      'OTHER_CFLAGS': ['-ffp-contract=fast', '-fno-math-errno']
    }
  },
  'targets': [
    {
      'target_name': 'cinefuse_baseline',
      'type': 'static_library',
      'sources': ['<!@(node scripts/sources.mjs simd)'],
      'defines': ['CINEFUSE_ISA=baseline'],
      'cflags': ['<!@(node scripts/sources.mjs flags.baseline)']
    },
    {
      'target_name': 'cinefuse_native',
      'sources': ['<!@(node scripts/sources.mjs addon)'],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
                  'NODE_ADDON_API_DISABLE_DEPRECATED'],
      'dependencies': ['cinefuse_baseline'],
      'conditions': [
        ['target_arch=="x64"', { 'dependencies': ['cinefuse_avx2', 'cinefuse_avx512'] }],
        ['OS=="linux"', { 'libraries': ['-ldl', '-pthread'], 'ldflags': ['-Wl,--gc-sections'] }]
      ]
    }
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'cinefuse_avx2',
          'type': 'static_library',
          'sources': ['<!@(node scripts/sources.mjs simd)'],
          'defines': ['CINEFUSE_ISA=avx2'],
          'cflags': ['<!@(node scripts/sources.mjs flags.avx2)'],
          'xcode_settings': { 'OTHER_CFLAGS': ['<!@(node scripts/sources.mjs flags.avx2)'] }
        },
        {
          'target_name': 'cinefuse_avx512',
          'type': 'static_library',
          'sources': ['<!@(node scripts/sources.mjs simd)'],
          'defines': ['CINEFUSE_ISA=avx512'],
          'cflags': ['<!@(node scripts/sources.mjs flags.avx512)'],
          'xcode_settings': { 'OTHER_CFLAGS': ['<!@(node scripts/sources.mjs flags.avx512)'] }
        }
      ]
    }]
  ]
}
