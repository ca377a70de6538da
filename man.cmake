# SPDX-License-Identifier: Apache-2.0
# Makes PAGE of SOURCE, which is written in scdoc, for samples that are installed in DATADIR:
#
#   cmake -D SCDOC=scdoc -D SOURCE=x.1.scd -D PAGE=x.1 -D DATADIR=/usr/share -P man.cmake
file(READ "${SOURCE}" text)
string(REGEX REPLACE "[_*\\\\]" "\\\\\\0" DATADIR "${DATADIR}") # which are scdoc's own marks
string(REPLACE "/usr/share/vogeler" "${DATADIR}/vogeler" text "${text}")
file(WRITE "${PAGE}.scd" "${text}")
execute_process(COMMAND "${SCDOC}" INPUT_FILE "${PAGE}.scd" OUTPUT_FILE "${PAGE}" COMMAND_ERROR_IS_FATAL ANY)
