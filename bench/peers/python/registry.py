"""Which Python contenders there are. Each is a function of the work's parameters and inputs that makes everything ready
and gives back what is timed."""
import importlib

LIBRARIES = {
    'numpy': 'numpy',
    'scipy': 'scipy',
    'torch': 'torch',
    'torchaudio': 'torchaudio',
    'torchvision': 'torchvision',
    'librosa': 'librosa',
    'Pillow': 'PIL',
    'OpenCV': 'cv2',
}

_works = {}


def contender(work, name, *libraries):
    """Registers a contender of `work`, shown as `name`, where all of `libraries` can be imported."""

    def register(make):
        _works.setdefault(work, []).append((name, libraries, make))
        return make

    return register


def prepare(work, parameters, arrays):
    """({name: call}, {name: what it lacks})"""
    for module in ('mel', 'frames', 'fusion', 'flow'):
        importlib.import_module(module)
    ready, missing = {}, {}
    for name, libraries, make in _works.get(work, []):
        try:
            for library in libraries:
                importlib.import_module(LIBRARIES[library])
        except ImportError as error:
            missing[name] = str(error)
            continue
        ready[name] = make(parameters, *arrays)
    return ready, missing
