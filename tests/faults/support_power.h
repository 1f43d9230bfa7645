/*
 * Power loss by replay. Every call of the system-call table that changes a file system is recorded
 * while it is done; `power_cut` then builds, in a folder of its own, what a disk may hold if power
 * fails before call k: what was synced, and any part of what was not. The model is harsher than
 * real file systems: unsynced writes are lost one by one, torn at 512 bytes or replaced by zeros,
 * and of unsynced names any subset survives in any mixture, whatever the order of the calls. A sync
 * of a file says nothing about its name, which belongs to its folder.
 */
#ifndef SL_TESTS_FAULTS_SUPPORT_POWER_H
#define SL_TESTS_FAULTS_SUPPORT_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts an empty record and puts the recording table in place of sl_io. The record lies in shared
 * memory, so that a child that dies leaves its calls to its parent. `heed_syncs` false: syncs are
 * not recorded, for the control. */
void power_record(bool heed_syncs);
/* The process dies (exit code 9) before recorded call `at`; 0 = never. */
void power_die_at(size_t at);
size_t power_calls(void); /* recorded so far */
void power_stop(void);    /* sl_io as it was */

/* Replays into folder `to`, which is made anew, what may be on the disk before call k; *seed is
 * that of the draws and moves on. Paths are relative to the working directory, as recorded. */
void power_cut(size_t k, uint64_t *seed, const char *to);

#endif
