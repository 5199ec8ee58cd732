#!/bin/sh
# Make the environment: install.sh VENV EXTRAS. Safe to run again; does only what is missing.
#
# PyTorch is by far the largest part, so one that fits is kept: in VENV itself, or in the Python
# that makes it. Otherwise the tested version is installed, from TORCH_INDEX where that is set.
set -eu

venv=$1
extras=[server${2:+,$2}]
python=${PYTHON:-python3}
fits='import torch; v = tuple(map(int, torch.__version__.split("+")[0].split(".")[:2])); exit(not (2, 6) <= v < (3,))'

"$python" -c 'import sys; exit(sys.version_info < (3, 11))' || {
    echo "Limner needs Python 3.11 or newer; $python is $("$python" --version)." >&2
    exit 1
}
# Debian's python3 without python3-venv leaves an environment without pip: made again, it is whole.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    site=
    "$python" -c "$fits" 2>/dev/null && site=--system-site-packages
    echo "Making $venv ${site:+(with the PyTorch that is already installed)}"
    "$python" -m venv $site "$venv"
fi

constraints=$venv/constraints.txt
if "$venv/bin/python" -c "$fits" 2>/dev/null; then
    grep -v '^torch==' constraints.txt >"$constraints"
else
    cp constraints.txt "$constraints"
    echo "Installing PyTorch (the largest part; docs/install.md says how to take the CPU-only build)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$(grep '^torch==' constraints.txt)" \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
fi
echo "Installing Limner and what it needs"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" -e ".$extras"
# Upscaler files. Its wheel asks for torchvision, which has no build for every PyTorch.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$(grep '^spandrel==' constraints.txt)"
case $extras in *test*)
    # The oracle of the samplers. Its wheel asks for a whole training program, of which the tests
    # load two files that need nothing of it.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$(grep '^k-diffusion==' constraints.txt)" ;;
esac
