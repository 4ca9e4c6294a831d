@echo off
rem Opens Modelsheet's page on a folder of frames: drop one onto this file, or double-click it, and it asks for one.
rem
rem What it needs it fetches once, 5 to 8 GB: uv (https://docs.astral.sh/uv), with that Python, with that the packages.
rem All of it goes into .uv and .venv in this folder, and nothing else of the machine changes. With UV_TORCH_BACKEND set
rem to cpu, cu126 and the like, that build of torch is taken, and else the one that suits the graphics card; with
rem UV_PYTHON set to 3.11 or 3.13, that Python.
rem
rem Paths may hold any characters: they stand in quotes, in no block of parentheses, and are never shown.
setlocal EnableExtensions DisableDelayedExpansion
set "MODELSHEET_FOLDER=%~1"
set "HERE=%~dp0"
set "VENV_PYTHON=%~dp0.venv\Scripts\python.exe"
set "PYTHONUTF8=1"
set "UV_PYTHON_INSTALL_DIR=%~dp0.uv\python"
if not defined UV_PYTHON set "UV_PYTHON=3.12"
set "UV_CACHE_DIR=%~dp0.uv\cache"

set "MODELSHEET_UV=%~dp0.uv\uv.exe"
if exist "%MODELSHEET_UV%" goto python
where /q uv.exe
if errorlevel 1 goto fetch
set "MODELSHEET_UV=uv.exe"
goto python

:fetch
echo Fetching uv, which fetches the rest, into .uv in this folder.
set "UV_INSTALL_DIR=%~dp0.uv"
set "UV_UNMANAGED_INSTALL=%~dp0.uv"
set "UV_NO_MODIFY_PATH=1"
powershell -NoProfile -ExecutionPolicy Bypass -Command "$ErrorActionPreference = 'Stop'; [Net.ServicePointManager]::SecurityProtocol = 'Tls12'; Invoke-RestMethod https://astral.sh/uv/install.ps1 | Invoke-Expression"
if exist "%MODELSHEET_UV%" goto python
echo uv could not be fetched from https://astral.sh; see whether the network is there, and start again.
goto failed

:python
"%VENV_PYTHON%" -c "" >nul 2>nul
if not errorlevel 1 goto start
rem There is none, or the folder was moved.
if exist "%HERE%.venv" rmdir /s /q "%HERE%.venv"
"%MODELSHEET_UV%" venv --quiet --python "%UV_PYTHON%" "%HERE%.venv"
if not errorlevel 1 goto start
echo Python could not be set up (see above); see whether the network is there, and start again.
goto failed

:start
"%VENV_PYTHON%" "%HERE%.ci\start.py"
if not errorlevel 1 exit /b 0
echo Modelsheet has ended with an error (see above).

:failed
pause
exit /b 1
